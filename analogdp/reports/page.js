"use strict";
// Plotly's own tool bar would offer to send the figure to a server.
const settings = {
  responsive: true,
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
};
const figures = JSON.parse(document.getElementById("figures").textContent);
for (const [name, figure] of Object.entries(figures)) {
  Plotly.newPlot(name, figure.data, figure.layout, settings);
}
// Maps exist once for each chip shown; the selector makes those of one chip visible.
const selector = document.getElementById("chip");
selector?.addEventListener("change", () => {
  const chip = Number(selector.value);
  for (const plot of document.querySelectorAll(".maps")) {
    const visible = plot.data.map((trace) => trace.meta === undefined || trace.meta.chip === chip);
    Plotly.restyle(plot, "visible", visible);
  }
});

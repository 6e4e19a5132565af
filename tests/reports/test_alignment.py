import json

import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.reports.alignment import MOST_COLUMNS, angles_figure, angles_section, draw_angles, read_angles


def write(folder, updates, layers=2, chips=2, angle=lambda update, layer, chip: update + 10.0 * layer + chip):
    rows = [
        {"update": update, "chip": chip, "layer": layer, "angle": angle(update, layer, chip)}
        for update in updates
        for layer in range(1, layers + 1)
        for chip in range(chips)
    ]
    (folder / "alignment.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_map_has_means_over_chips(tmp_path):
    angles = read_angles(write(tmp_path, (0, 4, 8)))
    np.testing.assert_allclose(angles.degrees, [[10.5, 14.5, 18.5], [20.5, 24.5, 28.5]])
    assert (angles.layers, angles.chips, angles.updates.tolist()) == ((1, 2), 2, [0, 4, 8])


def test_many_batches_are_drawn_as_means_over_neighbours(tmp_path):
    angles = read_angles(write(tmp_path, range(2 * MOST_COLUMNS), 1, 1, lambda update, layer, chip: float(update % 2)))
    assert angles.degrees.shape == (1, MOST_COLUMNS)
    np.testing.assert_allclose(angles.degrees, 0.5)


def test_what_has_no_angle_stays_empty_and_is_called_none(tmp_path):
    nothing = write(tmp_path, (0, 1), angle=lambda update, layer, chip: None if layer == 1 else 3.0)
    angles = read_angles(nothing)
    assert np.isnan(angles.degrees[0]).all()
    assert "layer 1 none, layer 2 3°" in angles_section(angles, "")


def test_page_and_picture_show_the_same_map(tmp_path):
    angles = read_angles(write(tmp_path, (0, 4, 8)))
    np.testing.assert_allclose(np.asarray(angles_figure(angles).data[0].z), angles.degrees)
    np.testing.assert_allclose(draw_angles(angles).axes[0].images[0].get_array(), angles.degrees)


def test_a_run_without_angles_has_no_map(tmp_path):
    assert read_angles(tmp_path) is None
    (tmp_path / "alignment.jsonl").touch()
    assert read_angles(tmp_path) is None


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "alignment.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"alignment\.parquet: damaged"):
        read_angles(tmp_path)

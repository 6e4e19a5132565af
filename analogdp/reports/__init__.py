"""What people look at: the report page and pictures of a run, made from the files that the run left."""

from analogdp.reports.report import write_report

__all__ = ["write_report"]

"""What is kept of a run: its directory, manifest, metrics, checkpoints and log; and carrying it to its end."""

from analogdp.runs.checkpoints import Checkpoint, load_checkpoint, load_newest, save_checkpoint
from analogdp.runs.course import Observer
from analogdp.runs.directory import RunDirectory, runs_in
from analogdp.runs.execute import Interrupted, Learner, Products, execute
from analogdp.runs.manifest import Manifest, change_manifest, new_manifest, read_manifest, status_now, versions
from analogdp.runs.metrics import Journal, Row, as_table, last_evaluation, mean_and_spread
from analogdp.runs.recordings import Recording, read_recordings

__all__ = [
    "Checkpoint",
    "Interrupted",
    "Journal",
    "Learner",
    "Manifest",
    "Observer",
    "Products",
    "Recording",
    "Row",
    "RunDirectory",
    "as_table",
    "change_manifest",
    "execute",
    "last_evaluation",
    "load_checkpoint",
    "load_newest",
    "mean_and_spread",
    "new_manifest",
    "read_manifest",
    "read_recordings",
    "runs_in",
    "save_checkpoint",
    "status_now",
    "versions",
]

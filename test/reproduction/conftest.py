import sys
from pathlib import Path

# dataset_helpers, training_helpers
sys.path[:0] = [
    str(Path(__file__).resolve().parents[1] / name) for name in ("datasets", "training")
]

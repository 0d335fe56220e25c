import sys
from pathlib import Path

# dataset_helpers
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "datasets"))

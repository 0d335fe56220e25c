"""From a data set to weights: settings, the loop, and the files of a training run."""

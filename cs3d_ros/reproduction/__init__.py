"""The paper's tables on data sets of this package, and the choices that the paper leaves open."""

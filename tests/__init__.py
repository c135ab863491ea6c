"""A package, so that it is found before the `tests` that eventkit installs beside itself; its folders are none."""

"""Pure values and sums: no clock, no input or output, no async, no pandas."""

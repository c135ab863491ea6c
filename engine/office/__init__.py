"""What the portfolio manager delegates to: tables of the present and the past, verification, equity, back-office acts."""

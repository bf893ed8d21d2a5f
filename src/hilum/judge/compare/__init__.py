"""Two judged runs on the same films: `hilum compare`."""

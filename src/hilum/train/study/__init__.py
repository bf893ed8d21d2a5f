"""Ways of training, compared by the same folds: `hilum study`."""

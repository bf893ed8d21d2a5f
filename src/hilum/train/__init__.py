"""Making a model: networks, augmentation, batches, fitting, sealing. The only room that imports Keras."""

"""The runtime plane: model file, engine, classifier, gate, heat maps, streams of films. No Keras, no TensorFlow."""

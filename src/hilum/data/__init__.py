"""Many radiographs: data folders and manifests, fingerprints, splits, phantoms, public sets."""

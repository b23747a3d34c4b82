"""Losses as plain functions of tensors: supervised, similarity of images, overlap of labels, regularisers."""

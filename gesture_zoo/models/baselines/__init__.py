"""Other systems of the paper's tables, to train and compare in the same zoo; importing this registers them."""

from . import c3d, cnn_lstm, i3d, mtut, r2plus1d, res_c3d, resnext3d_101, seg_lstm  # noqa: F401

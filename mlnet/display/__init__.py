"""Objects as text and HTML: pure functions that read everything and are imported by nothing below.

Importing the package registers the renderers, so that ``repr`` and notebooks show MATLAB's blocks.
"""

from __future__ import annotations

from mlnet.autodiff.array import dlarray
from mlnet.autodiff.data_layout import networkDataLayout
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.declared import DeclaredDatastore
from mlnet.data.datastores.mini_batch_queue import MiniBatchQueue
from mlnet.data.images.augmentation import ImageDataAugmenter
from mlnet.data.segmentation_metrics import SemanticSegmentationMetrics
from mlnet.display.analysis import analysis_html, analysis_text
from mlnet.display.arrays import dlarray_text
from mlnet.display.datastores import augmenter_text, datastore_html, datastore_text
from mlnet.display.html import preformatted
from mlnet.display.labels import labels_text
from mlnet.display.layer_array import layer_array_html, layer_array_text
from mlnet.display.objects import (
    declared_block,
    info_block,
    layout_block,
    metrics_block,
    network_block,
    structure_block,
)
from mlnet.display.page import analysis_page
from mlnet.display.queue import queue_text
from mlnet.display.show import disp, properties
from mlnet.display.table import table_html, table_text
from mlnet.labels import categorical
from mlnet.network.analyze import NetworkAnalysis
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.trained import TrainedNetwork
from mlnet.options import Declared, to_html, to_page, to_text
from mlnet.structure import Structure
from mlnet.table import DataTable
from mlnet.training.nets.reporter import TrainingInfo

__all__ = ["disp", "properties"]

for _kind, _block in (
    (Declared, declared_block),
    (Structure, structure_block),
    (networkDataLayout, layout_block),
    (TrainedNetwork, network_block),
    (LayerGraph, network_block),
    (dlnetwork, network_block),
    (SemanticSegmentationMetrics, metrics_block),
    (TrainingInfo, info_block),
):
    to_text.register(_kind, lambda value, block=_block: block(value).text())  # type: ignore[misc]
    to_html.register(_kind, lambda value, block=_block: block(value).html())  # type: ignore[misc]

to_text.register(LayerArray, layer_array_text)
to_html.register(LayerArray, layer_array_html)
to_text.register(NetworkAnalysis, analysis_text)
to_html.register(NetworkAnalysis, analysis_html)
to_page.register(NetworkAnalysis, analysis_page)
to_text.register(DataTable, table_text)
to_html.register(DataTable, table_html)
to_text.register(categorical, labels_text)
to_html.register(categorical, lambda labels: preformatted(labels_text(labels)))
to_text.register(MiniBatchQueue, queue_text)
to_html.register(MiniBatchQueue, lambda queue: preformatted(queue_text(queue)))
to_text.register(dlarray, dlarray_text)
to_html.register(dlarray, lambda array: preformatted(dlarray_text(array)))
for _datastores in (Datastore, DeclaredDatastore):
    to_text.register(_datastores, datastore_text)
    to_html.register(_datastores, datastore_html)
to_text.register(ImageDataAugmenter, augmenter_text)
to_html.register(ImageDataAugmenter, lambda augmenter: preformatted(augmenter_text(augmenter)))

"""Constants of oneDNN's C interface, with the enumeration and the header they come from.

Values are the same in all 3.x; what later ones added is not used here.
"""

from __future__ import annotations

# dnnl_status_t, dnnl_common_types.h
SUCCESS, OUT_OF_MEMORY, INVALID_ARGUMENTS, UNIMPLEMENTED, LAST_IMPLEMENTATION, RUNTIME_ERROR = range(6)
STATUS = {
    OUT_OF_MEMORY: "out of memory",
    INVALID_ARGUMENTS: "arguments that the library refuses",
    UNIMPLEMENTED: "not implemented in the library for these sizes or this processor",
    LAST_IMPLEMENTATION: "no further implementation",
    RUNTIME_ERROR: "a failure while it ran",
}

# DNNL_RUNTIME_*, dnnl_config.h
RUNTIME_SEQUENTIAL, RUNTIME_OPENMP, RUNTIME_TBB, RUNTIME_THREADPOOL = 1, 2, 4, 8

# dnnl_cpu_isa_t, dnnl_types.h
ISA_AVX2 = 0x7
ISA_AVX512_BFLOAT16 = 0xE7

# dnnl_engine_kind_t and dnnl_data_type_t, dnnl_common_types.h; dnnl_stream_flags_t, dnnl_common_types.h
ENGINE_CPU = 1
UNDEFINED, BFLOAT16, FLOAT32 = 0, 2, 3
STREAM_IN_ORDER = 1

# dnnl_format_tag_t and dnnl_scratchpad_mode_t, dnnl_types.h
TAG_ANY = 1
TAG_BLOCKS = {16: 78, 8: 102}  # dnnl_aBcd16b, dnnl_aBcd8b
SCRATCHPAD_USER = 1

# dnnl_prop_kind_t, dnnl_types.h
FORWARD_TRAINING, FORWARD_INFERENCE, BACKWARD, BACKWARD_DATA = 64, 96, 128, 160

# dnnl_alg_kind_t, dnnl_types.h
CONVOLUTION_DIRECT, DECONVOLUTION_DIRECT = 0x1, 0xA
ELTWISE_RELU, ELTWISE_TANH, ELTWISE_ELU, ELTWISE_LOGISTIC, ELTWISE_CLIP = 0x20, 0x21, 0x22, 0x29, 0x2F
ELTWISE_LINEAR = 0x26
ELTWISE_RELU_BY_OUTPUT, ELTWISE_TANH_BY_OUTPUT, ELTWISE_LOGISTIC_BY_OUTPUT = 0x100, 0x101, 0x104
ELTWISE_GELU_TANH, ELTWISE_SWISH, ELTWISE_GELU = 0x2B, 0x2C, 0x31
BINARY_ADD, BINARY_DIVIDE, BINARY_SUBTRACT = 0x1FFF0, 0x1FFF4, 0x1FFF5
LRN_ACROSS_CHANNELS, BINARY_MULTIPLY, SOFTMAX_ACCURATE = 0xAFF, 0x1FFF1, 0x30000
POOLING_MAX, POOLING_AVERAGE_WITH_BORDER, POOLING_AVERAGE = 0x1FF, 0x2FF, 0x3FF

# dnnl_normalization_flags_t, dnnl_types.h
GLOBAL_STATISTICS, USE_SCALE, USE_SHIFT, FUSE_RELU = 1, 2, 4, 8

# dnnl_rnn_direction_t and dnnl_rnn_flags_t, dnnl_types.h
LEFT_TO_RIGHT = 1
RNN_FLAGS_NONE = 0

# dnnl_query_t, dnnl_types.h
QUERY_IMPLEMENTATION = 8
QUERY_SRC, QUERY_DIFF_SRC, QUERY_WEIGHTS, QUERY_DIFF_WEIGHTS = 129, 130, 131, 132
QUERY_DST, QUERY_DIFF_DST, QUERY_WORKSPACE, QUERY_SCRATCHPAD = 133, 134, 135, 136

# DNNL_ARG_*, dnnl_types.h
ARG_SRC, ARG_DST, ARG_WEIGHTS, ARG_BIAS = 1, 17, 33, 41
ARG_SECOND_SRC = 2
ARG_SRC_ITER, ARG_SRC_ITER_C, ARG_DST_ITER, ARG_DST_ITER_C, ARG_WEIGHTS_ITER = 2, 3, 18, 19, 34
ARG_MEAN, ARG_VARIANCE, ARG_SCALE, ARG_SHIFT = 49, 50, 51, 52
ARG_WORKSPACE, ARG_SCRATCHPAD, ARG_MULTIPLE_SRC = 64, 80, 1024
ARG_DIFF_SRC, ARG_DIFF_DST, ARG_DIFF_WEIGHTS, ARG_DIFF_BIAS = 129, 145, 161, 169
ARG_FIRST_FOLLOWER = 1 << 15
ARG_DIFF = 128  # more than the number of the argument itself
ARG_DIFF_SCALE, ARG_DIFF_SHIFT = 255, 256

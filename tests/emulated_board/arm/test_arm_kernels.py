"""The tests of every kernel, once more on Arm: their benches here are the board's."""

import pytest

from tests.hardware.kernels.test_layers import (
    test_a_huge_multiplier_clips as test_a_huge_multiplier_clips,
)
from tests.hardware.kernels.test_layers import (
    test_convolutions_agree as test_convolutions_agree,
)
from tests.hardware.kernels.test_layers import (
    test_depthwise_convolutions_agree as test_depthwise_convolutions_agree,
)
from tests.hardware.kernels.test_layers import (
    test_extreme_codes_never_overflow as test_extreme_codes_never_overflow,
)
from tests.hardware.kernels.test_layers import (
    test_matrix_products_agree as test_matrix_products_agree,
)
from tests.hardware.kernels.test_pointwise import test_adding as test_adding
from tests.hardware.kernels.test_pointwise import test_average_pooling as test_average_pooling
from tests.hardware.kernels.test_pointwise import test_concatenating as test_concatenating
from tests.hardware.kernels.test_pointwise import (
    test_every_wide_code_requantizes_as_the_reference_does as test_every_wide_code_requantizes_as_the_reference_does,  # noqa: E501
)
from tests.hardware.kernels.test_pointwise import test_maximum_pooling as test_maximum_pooling
from tests.hardware.kernels.test_pointwise import (
    test_quantizing_the_input as test_quantizing_the_input,
)
from tests.hardware.kernels.test_pointwise import test_requantizing as test_requantizing

pytestmark = pytest.mark.board

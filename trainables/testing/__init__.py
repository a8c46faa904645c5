"""Conformance checks of components, which the tests of this program and of plug-ins share.

Each list holds functions that take a component and raise AssertionError where it does not do what every user of such a
component relies on. With pytest:

    @pytest.mark.parametrize("check", METHOD_CHECKS, ids=lambda check: check.__name__)
    def test_my_method_conforms(check):
        check(MyMethod())
"""

from trainables.testing.layout_checks import LAYOUT_CHECKS
from trainables.testing.method_checks import METHOD_CHECKS
from trainables.testing.network_checks import BACKBONE_CHECKS, NETWORK_CHECKS

__all__ = ["BACKBONE_CHECKS", "LAYOUT_CHECKS", "METHOD_CHECKS", "NETWORK_CHECKS"]

"""What other apps add to the pages of plans; plans does not import these apps."""

from collections.abc import Sequence

from core.hooks import Hook
from plans.models import AcademicPlan

plan_deletion_warnings: Hook[[Sequence[AcademicPlan]], str] = Hook()
"""Returns a sentence about the effects of deleting these plans, or "".

In a fixed number of queries.
"""

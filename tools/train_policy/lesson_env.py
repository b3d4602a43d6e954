"""Environments of lessons: episodes end with an allocation, and the lesson knows what it loses."""

from env.token_view import TokenView, table_view
from tools.train_policy.lessons import Lesson


def env_of(lesson: Lesson, *, length: int = 0) -> TokenView:
    """Return the environment of one lesson, its losses shown."""
    view = table_view(lesson.space, lesson.table, lesson.budget, length=length)
    view.show(lesson.responses)
    return view

"""The state: LevelDB columns, views of committed states, and the overlay a runtime call writes to."""

from chain.state.database import Batch, Column, Database
from chain.state.overlay import Overlay
from chain.state.view import StateView, StateViews

__all__ = ["Batch", "Column", "Database", "Overlay", "StateView", "StateViews"]

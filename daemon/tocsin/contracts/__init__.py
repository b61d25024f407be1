"""Contracts between the parts of Tocsin: the ports, the store, sources and channels.

Plug-ins import every name from here.
"""

from tocsin.contracts.contacts import Door
from tocsin.contracts.incidents import IncidentFilter, Place
from tocsin.contracts.list_cursor import Stand
from tocsin.contracts.paging import EVERY_RANK
from tocsin.contracts.plugins import Channel, ChannelKind, Source, Tools
from tocsin.contracts.ports import (
    Chance,
    Clock,
    Gate,
    Http,
    Live,
    Mail,
    ReadFeed,
    Reading,
    Reply,
    Spawn,
    Task,
    Wakeable,
)
from tocsin.contracts.store import Standing, Store, T, Tx
from tocsin.contracts.upkeep import Counts

__all__ = [
    "Chance",
    "Channel",
    "ChannelKind",
    "Clock",
    "Counts",
    "Door",
    "EVERY_RANK",
    "Gate",
    "Http",
    "IncidentFilter",
    "Live",
    "Mail",
    "Place",
    "ReadFeed",
    "Reading",
    "Reply",
    "Source",
    "Spawn",
    "Stand",
    "Standing",
    "Store",
    "T",
    "Task",
    "Tools",
    "Tx",
    "Wakeable",
]

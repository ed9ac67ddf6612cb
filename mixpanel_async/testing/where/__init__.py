"""Mixpanel's segmentation expressions: what ``where`` means, read once and asked of each event or profile.

    expression = where.parse('properties["plan"] == "pro" and not defined(properties["city"])')
    expression.keeps({"plan": "pro"})  # True
    expression.keeps(profile_properties, user=profile_properties, behaviors={"bought": 3})

``parse`` raises WhereError, whose text is fit for the body of a 400. ``keeps`` raises nothing. A moment, such as
an event's ``$time``, is given as ``Moment(seconds)``; all other values are as JSON has them.

Known, from Mixpanel's docs and from queries that are in use:

- ``properties["x"]`` and ``user["x"]``, ``event["$time"]``, ``behaviors["name"]``; strings in double quotes,
  numbers, ``true``, ``false``, ``[lists]`` and parentheses. ``null`` and ``undefined`` are values without a name.
- ``+ - * / % == != > >= < <= in and or``, ``-`` and ``not`` before an operand; ``floor round ceil``, ``boolean
  number string defined datetime`` before parentheses. ``not`` binds less than ``in``, as in
  ``not "Brand" in properties["utm_campaign"]``.
- Types are strict: ``==`` of two types is false; a comparison, sum or ``in`` of two types is undefined, and so is
  a division by 0. Undefined is false to ``and`` and ``or``; ``not`` of it is true. What remains of a division has the
  sign of the dividend.
- ``in`` looks for a string in a string, and for a value in a list.
- ``datetime`` takes seconds or ``"YYYY-MM-DDT00:00:00"`` in the project's clock, and compares with a property that
  is such a string.

Chosen here, since nobody says:

- Precedence is Python's; operators of one level go from left to right, comparisons too.
- ``and`` and ``or`` take any other value for false, where Mixpanel's docs speak of an error.
- Names and operators are in lower case. Escapes in strings are JSON's. Upper and lower case differ in ``in``.
- Strings compare by code points. Booleans and lists do not compare. ``defined`` of null is false.
- ``round`` rounds halves away from 0. ``string`` of a whole number has no point; of a list it is undefined.
"""

from __future__ import annotations

from mixpanel_async.testing.where.grammar import Expression, WhereError, parse
from mixpanel_async.testing.where.values import Moment

__all__ = ["Expression", "Moment", "WhereError", "parse"]

"""Mixpanel's segmentation expressions: what ``where`` means. Parsed once, evaluated for each event or profile.

```python
from mixpanel_async.testing import where

expression = where.parse('properties["plan"] == "pro" and not defined(properties["city"])')
print(expression.matches({"plan": "pro"}))
print(expression.matches({"plan": "pro", "city": "Oslo"}, user={"plan": "pro"}, behaviors={"bought": 3}))
```

```text
True
False
```

``parse`` raises WhereError, whose message can be sent in the body of a 400. ``matches`` raises nothing. A moment, such
as an event's ``$time``, is passed as ``Moment(seconds)``; all other values are JSON values.

Known from Mixpanel's docs and from queries in use:

- ``properties["x"]`` and ``user["x"]``, ``event["$time"]``, ``behaviors["name"]``; strings in double quotes, numbers,
  ``true``, ``false``, ``[lists]`` and parentheses. ``null`` and ``undefined`` are values that have no literal.
- ``+ - * / % == != > >= < <= in and or``; ``-`` and ``not`` before an operand; the functions ``floor``, ``round``,
  ``ceil``, ``boolean``, ``number``, ``string``, ``defined`` and ``datetime``. ``not`` binds weaker than ``in``, as in
  ``not "Brand" in properties["utm_campaign"]``.
- Types are strict: ``==`` of different types is false. A comparison, sum or ``in`` of different types is undefined, and
  so is a division by 0. ``and`` and ``or`` treat undefined as false; ``not`` of undefined is true. The remainder of a
  division has the sign of the dividend.
- ``in`` searches a string in a string, or a value in a list.
- ``datetime`` accepts seconds or ``"YYYY-MM-DDT00:00:00"`` in the project's clock. Its result can be compared with a
  property that is such a string.

Not documented by Mixpanel, so chosen here:

- Precedence is Python's. Operators of one level are evaluated from left to right, comparisons too.
- ``and`` and ``or`` treat every value that is not a boolean as false. Mixpanel's docs call it an error.
- Names and operators are lower case. Escapes in strings are those of JSON. ``in`` is case-sensitive.
- Strings compare by code points. Booleans and lists cannot be compared. ``defined`` of null is false.
- ``round`` rounds halves away from 0. ``string`` of an integral number has no decimal point; of a list it is undefined.
"""

from __future__ import annotations

from mixpanel_async.testing.where.grammar import Expression, WhereError, parse
from mixpanel_async.testing.where.values import Moment

__all__ = ["Expression", "Moment", "WhereError", "parse"]

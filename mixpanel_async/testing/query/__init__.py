"""The query endpoints: engage, names of events and properties, cohorts, and the app API."""

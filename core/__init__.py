"""The domain of the service: settings, keys, records, stores. No HTTP in here."""

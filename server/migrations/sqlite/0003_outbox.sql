-- What is still to be told, by when it happened.
CREATE INDEX event_pending ON event (row ->> '$.created_at') WHERE row ->> '$.state' = 'pending';

-- What is still to be told, by when it happened.
CREATE INDEX event_pending ON event ((row::jsonb ->> 'created_at')) WHERE row::jsonb ->> 'state' = 'pending';

-- What the operator did at the database, and what the service did by itself, is noted without a token.
alter table audit_outbox alter column token_id drop not null;

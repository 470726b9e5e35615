-- As it was written before: zeros for none.
update audit_outbox set token_id = '00000000-0000-0000-0000-000000000000' where token_id is null;
alter table audit_outbox alter column token_id set not null;

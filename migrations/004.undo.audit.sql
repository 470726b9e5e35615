drop function audit_ensure_partitions(integer);
drop table audit_outbox;
drop table audit_chains;
drop table audit_events;

drop index keys_by_tags;
drop extension btree_gin;
drop trigger audit_usage on audit_events;
drop function audit_count_usage();
drop table usage_daily;

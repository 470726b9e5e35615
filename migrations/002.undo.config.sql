alter table tokens drop constraint tokens_rate, drop column rate_quota, drop column rate_window_seconds;
drop table config_versions;

drop function audit_drop_partition(date);
drop function audit_close_partition(date);
drop function audit_partition_of(date);
-- With the triggers of days that are closed; what is in R2 stays there.
drop function audit_note_late() cascade;
drop table audit_late;
drop table audit_archive_files;
drop table audit_archives;
drop table audit_archive_days;

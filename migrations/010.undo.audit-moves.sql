-- What was copied is forgotten. All of it is in the default partition.
drop trigger if exists audit_copy on audit_events_default;
drop table if exists audit_moving;
delete from audit_moves;

drop function audit_ensure_partitions(integer, integer);
drop function audit_end_move();
drop function audit_copy_slice(integer);
drop function audit_begin_move(integer);
drop function audit_copy_waiting();
drop function audit_make_free_days(integer);
drop function audit_lock_partitions();
drop function audit_waiting_days(integer);
drop function audit_free_days(integer);
drop function audit_missing_days(integer);
drop function audit_table_of(date);
drop function audit_day_begins(date);
drop index audit_events_default_by_at;
drop table audit_moves;

-- Makes the partitions of yesterday (UTC) up to days_ahead from today, with the rows that wait for them;
-- how many there were not yet. Of the owner's: the worker can make these tables and nothing else.
create function audit_ensure_partitions(days_ahead integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
	today date := (now() at time zone 'utc')::date;
	day date;
	partition text;
	made integer := 0;
begin
	if days_ahead is null or days_ahead not between 0 and 31 then
		raise exception 'days_ahead must be 0 to 31';
	end if;
	perform pg_advisory_xact_lock(7203114552);
	for offset_days in -1..days_ahead loop
		day := today + offset_days;
		partition := 'audit_events_' || to_char(day, 'YYYYMMDD');
		continue when to_regclass('public.' || partition) is not null;
		-- Nobody can add to the rows that wait while they are on their way.
		lock table audit_events_default in access exclusive mode;
		execute format('create table %I (like audit_events including all)', partition);
		execute format(
			'with moved as (delete from audit_events_default where at >= %L and at < %L returning *)
			insert into %I select * from moved',
			day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc', partition);
		execute format(
			'alter table audit_events attach partition %I for values from (%L) to (%L)',
			partition, day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
		made := made + 1;
	end loop;
	return made;
end
$$;
revoke execute on function audit_ensure_partitions(integer) from public;
grant execute on function audit_ensure_partitions(integer) to edgesign_app;

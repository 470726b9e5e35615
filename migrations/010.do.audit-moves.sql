-- Records that wait for the partition of their day come to it by statements that end in time, however many wait.
--
-- Postgres attaches no partition while the default one has a row of its day, and nobody sees a row of a table that
-- is not attached. So rows that wait stay where they are, and are copied, a slice a call, to tables beside the log:
-- audit_moving has one for each day, and a default one. When these have all of them they take the default
-- partition's place, in a transaction that moves no row. From before the first slice a trigger copies what still
-- comes. To delete the rows from the default partition instead takes longer than a statement may: six seconds for
-- two million.
--
-- A migration that changes the columns of audit_events has to forget what was copied, by what 010.undo begins
-- with. Nothing is lost by that: the next minute begins anew.

-- The last record that was copied, in the order of the key: one row while records are copied, else none.
create table audit_moves (
	tenant_id text not null,
	at timestamptz not null,
	id uuid not null
);

-- Which days wait is asked every minute.
create index audit_events_default_by_at on audit_events_default (at);

create function audit_day_begins(day date) returns timestamptz
language sql immutable as $$ select day::timestamp at time zone 'utc' $$;

create function audit_table_of(day date) returns text
language sql immutable as $$ select 'audit_events_' || to_char(day, 'YYYYMMDD') $$;

-- Yesterday (UTC) and the days up to days_ahead from today that have no table, attached or on its way.
create function audit_missing_days(days_ahead integer) returns setof date
language sql stable as $$
	select day from generate_series(-1, days_ahead) n, lateral (select (now() at time zone 'utc')::date + n as day) d
	where to_regclass('public.' || audit_table_of(day)) is null
$$;

-- Those of them that no row waits for.
create function audit_free_days(days_ahead integer) returns setof date
language sql stable as $$
	select day from audit_missing_days(days_ahead) day
	where coalesce(
		(select e.at from audit_events_default e where e.at >= audit_day_begins(day) order by e.at limit 1),
		'infinity') >= audit_day_begins(day + 1)
$$;

-- The oldest days up to days_ahead from today that rows wait for. A day that was archived is none of them: what
-- comes after it was dropped stays in the default partition. So does what has no time that a record can have.
create function audit_waiting_days(days_ahead integer) returns setof date
language sql stable as $$
	with recursive bounds as (
		select timestamptz 'epoch' as first, audit_day_begins((now() at time zone 'utc')::date + days_ahead + 1) as last
	), days as (
		select (select e.at from audit_events_default e
			where e.at >= b.first and e.at < b.last order by e.at limit 1) as at, b.last
		from bounds b
		union all
		select (select e.at from audit_events_default e
			where e.at >= audit_day_begins((d.at at time zone 'utc')::date + 1) and e.at < d.last
			order by e.at limit 1), d.last
		from days d where d.at is not null
	)
	select day from days, lateral (select (at at time zone 'utc')::date as day) d
	where at is not null and to_regclass('public.' || audit_table_of(day)) is null
		and not exists (select from audit_archive_days a where a.day = d.day)
	limit 31
$$;

-- Keeps others who change partitions away, and an autovacuum, which ends when somebody has waited for it for a
-- second: before a lock that readers would wait behind.
create function audit_lock_partitions() returns void
language plpgsql as $$
begin
	lock table only audit_events in share update exclusive mode;
	lock table audit_events_default in share update exclusive mode;
end
$$;

-- Makes the partitions that no row waits for; how many.
create function audit_make_free_days(days_ahead integer) returns integer
language plpgsql as $$
declare
	free date[] := array(select audit_free_days(days_ahead));
	day date;
begin
	-- For these Postgres reads the default partition from end to end, while nobody else can. Where that takes long
	-- they are made with the days that rows wait for.
	if cardinality(free) = 0 or pg_relation_size('audit_events_default') > 128 * 1024 * 1024 then
		return 0;
	end if;
	perform audit_lock_partitions();
	lock table audit_events_default in access exclusive mode;
	-- A row may have come before that.
	free := array(select audit_free_days(days_ahead));
	if cardinality(free) = 0 then
		return 0;
	end if;
	-- It is read once for all of them: what this says of it needs not be looked for again.
	execute (
		select 'alter table audit_events_default add constraint audit_not_these check ('
			|| string_agg(format('(at < %L or at >= %L)', audit_day_begins(d), audit_day_begins(d + 1)), ' and ') || ')'
		from unnest(free) d);
	foreach day in array free loop
		execute format('create table %I (like audit_events including all)', audit_table_of(day));
		execute format('alter table audit_events attach partition %I for values from (%L) to (%L)',
			audit_table_of(day), audit_day_begins(day), audit_day_begins(day + 1));
	end loop;
	alter table audit_events_default drop constraint audit_not_these;
	return cardinality(free);
end
$$;

-- In the transaction that adds the record, so that the copy has all that the default partition has.
create function audit_copy_waiting() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
	insert into audit_moving select (new).* on conflict do nothing;
	return null;
end
$$;

-- Makes the tables that records are copied to, of the days that rows wait for and of those that are missing.
-- False where there are none.
create function audit_begin_move(days_ahead integer) returns boolean
language plpgsql as $$
declare
	days date[] := array(select audit_waiting_days(days_ahead) union select audit_missing_days(days_ahead));
	day date;
begin
	if cardinality(days) = 0 then
		return false;
	end if;
	perform audit_lock_partitions();
	-- Those who are adding records have ended from here on, and whoever adds one later meets the trigger.
	lock table only audit_events in access exclusive mode;
	create table audit_moving (like audit_events including all) partition by range (at);
	create table audit_moving_default partition of audit_moving default with (autovacuum_enabled = off);
	create index audit_moving_default_by_at on audit_moving_default (at);
	foreach day in array days loop
		-- By the constraint Postgres knows the rows when the table is attached, and reads none. An autovacuum
		-- would be in the way then.
		execute format(
			'create table %1$I partition of audit_moving (constraint audit_day check (at >= %2$L and at < %3$L))
			for values from (%2$L) to (%3$L) with (autovacuum_enabled = off)',
			audit_table_of(day), audit_day_begins(day), audit_day_begins(day + 1));
	end loop;
	create trigger audit_copy after insert on audit_events_default
		for each row execute function audit_copy_waiting();
	insert into audit_moves values ('', '-infinity', '00000000-0000-0000-0000-000000000000');
	return true;
end
$$;

-- Copies the next records; how many.
create function audit_copy_slice(slice integer) returns integer
language plpgsql as $$
declare
	after audit_moves;
	copied integer;
begin
	select * into strict after from audit_moves;
	with next as materialized (
		select * from audit_events_default e
		where (e.tenant_id, e.at, e.id) > (after.tenant_id, after.at, after.id)
		order by e.tenant_id, e.at, e.id limit slice
	), added as (
		insert into audit_moving select * from next on conflict do nothing
	), noted as (
		update audit_moves m set tenant_id = l.tenant_id, at = l.at, id = l.id
		from (select * from next order by tenant_id desc, at desc, id desc limit 1) l
	)
	select count(*) into copied from next;
	return copied;
end
$$;

-- Puts the tables in the place of the default partition; how many days they are.
create function audit_end_move() returns integer
language plpgsql as $$
declare
	days date[];
	day date;
	index text;
begin
	perform audit_lock_partitions();
	-- Of the whole log: who had begun to read it would go on with the partitions that there were then.
	lock table only audit_events in access exclusive mode;
	alter table audit_events detach partition audit_events_default;
	drop table audit_events_default;
	days := array(
		select to_date(right(c.relname, 8), 'YYYYMMDD') from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent = 'audit_moving'::regclass and c.relname <> 'audit_moving_default');
	foreach day in array days loop
		execute format('alter table audit_moving detach partition %I', audit_table_of(day));
		execute format('alter table audit_events attach partition %I for values from (%L) to (%L)',
			audit_table_of(day), audit_day_begins(day), audit_day_begins(day + 1));
		execute format('alter table %I drop constraint audit_day, reset (autovacuum_enabled)', audit_table_of(day));
	end loop;
	alter table audit_moving detach partition audit_moving_default;
	drop table audit_moving;
	alter table audit_moving_default rename to audit_events_default;
	alter table audit_events_default reset (autovacuum_enabled);
	for index in select indexrelid::regclass from pg_index where indrelid = 'audit_events_default'::regclass loop
		execute format('alter index %I rename to %I', index, replace(index, 'audit_moving', 'audit_events'));
	end loop;
	alter table audit_events attach partition audit_events_default default;
	delete from audit_moves;
	return cardinality(days);
end
$$;

-- Makes partitions from yesterday (UTC) up to days_ahead from today, and of older days that rows wait for; how many.
-- Null where rows are on their way and are to be gone on with by another call. Of the owner's: the worker can make
-- these tables and nothing else.
drop function audit_ensure_partitions(integer);
create function audit_ensure_partitions(days_ahead integer, slice integer default 5000) returns integer
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '1500ms'
-- Along indexes, whatever Postgres believes of the default partition: when it has filled nobody has analysed it.
set enable_seqscan = off as $$
declare
	made integer;
begin
	if days_ahead is null or days_ahead not between 0 and 31 then
		raise exception 'days_ahead must be 0 to 31';
	end if;
	if slice is null or slice not between 1 and 100000 then
		raise exception 'slice must be 1 to 100000';
	end if;
	-- Under another one it would not see, and so not copy, what was added since it began.
	if current_setting('transaction_isolation') <> 'read committed' then
		raise exception 'the isolation level must be read committed';
	end if;
	-- Somebody else is at it.
	if not pg_try_advisory_xact_lock(7203114552) then
		return 0;
	end if;
	made := audit_make_free_days(days_ahead);
	-- They are committed before anything else is tried.
	if made > 0 then
		return made;
	end if;
	if not exists (select from audit_moves) then
		if not audit_begin_move(days_ahead) then
			return 0;
		end if;
		-- Many are copied while others read and add.
		if (select count(*) from (select from audit_events_default limit slice) few) = slice then
			return null;
		end if;
	end if;
	if audit_copy_slice(slice) = slice then
		return null;
	end if;
	return audit_end_move();
end
$$;

revoke execute on function audit_day_begins(date) from public;
revoke execute on function audit_table_of(date) from public;
revoke execute on function audit_missing_days(integer) from public;
revoke execute on function audit_free_days(integer) from public;
revoke execute on function audit_waiting_days(integer) from public;
revoke execute on function audit_lock_partitions() from public;
revoke execute on function audit_make_free_days(integer) from public;
revoke execute on function audit_copy_waiting() from public;
revoke execute on function audit_begin_move(integer) from public;
revoke execute on function audit_copy_slice(integer) from public;
revoke execute on function audit_end_move() from public;
revoke execute on function audit_ensure_partitions(integer, integer) from public;
grant execute on function audit_ensure_partitions(integer, integer) to edgesign_app;

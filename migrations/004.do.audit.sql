-- What was done, by whom and to what: one row a record, linked to the one before it in its chain.
-- Objects of the log move their records here; the worker adds rows and never changes one.
create table audit_events (
	tenant_id text not null,
	at timestamptz not null,
	id uuid not null,
	request_id uuid not null,
	token_id uuid,
	action text not null,
	target_id uuid,
	target_name text not null,
	version integer not null,
	algorithm text not null,
	address text not null,
	input_kind text,
	-- SHA-256 of what was signed or verified, and of the signature.
	input bytea check (octet_length(input) = 32),
	signature bytea check (octet_length(signature) = 32),
	cost integer not null,
	outcome text not null,
	chain uuid not null,
	sequence bigint not null,
	link bytea not null check (octet_length(link) = 32),
	-- A record that is moved twice meets itself here.
	primary key (tenant_id, at, id)
) partition by range (at);
create index audit_events_by_target on audit_events (tenant_id, target_id, at, id);

-- A record whose day has no partition waits here until there is one.
create table audit_events_default partition of audit_events default;

-- An object's life: one that lost its storage begins another chain.
create table audit_chains (
	tenant_id text not null,
	id uuid not null,
	region text not null,
	shard integer not null,
	created_at timestamptz not null default now(),
	primary key (tenant_id, id)
);

-- Records of changes, written by the statement that makes the change and taken away when the record has
-- come to audit_events: no change is without its record, whatever is cut off in between.
create table audit_outbox (
	tenant_id text not null,
	id uuid not null,
	at timestamptz not null,
	place text not null,
	request_id uuid not null,
	token_id uuid not null,
	action text not null,
	address text not null,
	cost integer not null,
	target_id uuid,
	target_name text,
	version integer,
	algorithm text,
	created_at timestamptz not null default now(),
	primary key (tenant_id, id)
);
-- The job reads across tenants.
create index audit_outbox_by_age on audit_outbox (created_at);

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

grant select, insert on audit_events to edgesign_app;
grant select, insert on audit_chains to edgesign_app;
grant select, insert, delete on audit_outbox to edgesign_app;
grant execute on function audit_ensure_partitions(integer) to edgesign_app;

select audit_ensure_partitions(7);

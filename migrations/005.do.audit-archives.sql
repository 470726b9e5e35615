-- Days of the audit log on their way from Postgres to R2, and those that are there.

-- A day whose partition is being archived: from closed_at on what still comes to it is noted in audit_late.
create table audit_archive_days (
	day date primary key,
	closed_at timestamptz not null default now(),
	dropped_at timestamptz
);

-- A tenant's day: how far its files have got. A round begins anew when a record came late.
create table audit_archives (
	tenant_id text not null,
	day date not null,
	round integer not null default 0,
	state text not null default 'writing' check (state in ('writing', 'archived', 'expiring', 'expired')),
	parts integer not null default 0,
	records bigint not null default 0,
	-- The last record that is in a file.
	after_id uuid,
	-- First and last record of each chain so far.
	chains jsonb not null default '[]',
	-- SHA-256 of what is signed of the manifest.
	manifest bytea check (octet_length(manifest) = 32),
	primary key (tenant_id, day)
);

-- What the manifest says of each file, until it is written.
create table audit_archive_files (
	tenant_id text not null,
	day date not null,
	round integer not null,
	part integer not null,
	file jsonb not null,
	primary key (tenant_id, day, round, part)
);

-- A row for each transaction that added records to a closed day: nobody's note hides another's.
create table audit_late (
	tenant_id text not null,
	day date not null,
	transaction xid8 not null default pg_current_xact_id(),
	primary key (tenant_id, day, transaction)
);

create function audit_note_late() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
	insert into audit_late (tenant_id, day) values (new.tenant_id, (new.at at time zone 'utc')::date)
		on conflict do nothing;
	return null;
end
$$;
revoke execute on function audit_note_late() from public;

-- The partition of a day; null where there is none.
create function audit_partition_of(day date) returns text
language sql stable set search_path = public, pg_temp as $$
	select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
	where i.inhparent = 'public.audit_events'::regclass
		and c.relname = 'audit_events_' || to_char(day, 'YYYYMMDD')
$$;

revoke execute on function audit_partition_of(date) from public;

-- From when this has returned no record comes to the day unnoticed; false where it has no partition.
create function audit_close_partition(closing date) returns boolean
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '1s' as $$
declare
	partition text := audit_partition_of(closing);
begin
	if closing is null or closing >= (now() at time zone 'utc')::date - 1 then
		raise exception 'only a day before yesterday can be closed';
	end if;
	if partition is null then
		return false;
	end if;
	perform pg_advisory_xact_lock(7203114553);
	if exists (select from audit_archive_days d where d.day = closing) then
		return true;
	end if;
	-- Waits for those who are adding rows, so that whoever reads afterwards sees them.
	execute format(
		'create trigger audit_late after insert on %I for each row execute function audit_note_late()',
		partition);
	insert into audit_archive_days (day) values (closing);
	return true;
end
$$;
revoke execute on function audit_close_partition(date) from public;

-- Drops the partition of a day of which each tenant's records are in R2; false where it is gone already.
-- Of the owner's: the worker can drop nothing but this, and not before it has said so of each tenant.
create function audit_drop_partition(dropping date) returns boolean
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '1s' as $$
declare
	partition text := audit_partition_of(dropping);
	tenant text;
begin
	if partition is null then
		return false;
	end if;
	if not exists (select from audit_archive_days d where d.day = dropping) then
		raise exception 'the day is not closed';
	end if;
	-- In the order in which a record that is added takes them. Nobody adds one from here on.
	lock table only audit_events in access exclusive mode;
	execute format('lock table %I in access exclusive mode', partition);
	if exists (select from audit_late l where l.day = dropping) then
		raise exception 'a record came late';
	end if;
	execute format('select min(tenant_id) from %I', partition) into tenant;
	while tenant is not null loop
		if not exists (
			select from audit_archives a
			where a.tenant_id = tenant and a.day = dropping and a.state = 'archived'
		) then
			raise exception 'a tenant is not archived';
		end if;
		execute format('select min(tenant_id) from %I where tenant_id > $1', partition) into tenant using tenant;
	end loop;
	execute format('alter table audit_events detach partition %I', partition);
	execute format('drop table %I', partition);
	update audit_archive_days d set dropped_at = now() where d.day = dropping;
	return true;
end
$$;
revoke execute on function audit_drop_partition(date) from public;

grant select on audit_archive_days to edgesign_app;
grant select, insert, update on audit_archives to edgesign_app;
grant select, insert, delete on audit_archive_files to edgesign_app;
grant select, delete on audit_late to edgesign_app;
grant execute on function audit_close_partition(date) to edgesign_app;
grant execute on function audit_drop_partition(date) to edgesign_app;

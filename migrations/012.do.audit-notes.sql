-- The note of a change goes when its record is in Postgres. Where that was archived before anybody looked, the note
-- would stay, and its record be brought a second time when the log's object remembers it no more.
create or replace function audit_drop_partition(dropping date) returns boolean
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
	execute format('delete from audit_outbox o using %I e
		where e.tenant_id = o.tenant_id and e.at = o.at and e.id = o.id', partition);
	execute format('alter table audit_events detach partition %I', partition);
	execute format('drop table %I', partition);
	update audit_archive_days d set dropped_at = now() where d.day = dropping;
	return true;
end
$$;

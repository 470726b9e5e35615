drop table spare_keys;
drop table key_versions;
drop table keys;
drop table tokens;
drop table tenants;
do $$
begin
	execute format('grant temporary on database %I to public', current_database());
end
$$;
revoke usage on schema public from edgesign_app;
-- The role stays: other databases of the same server may grant to it.

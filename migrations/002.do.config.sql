-- Every configuration that a tenant ever had. Rows are added and never changed: going back writes a new one.
create table config_versions (
	tenant_id text not null references tenants (id),
	version integer not null check (version >= 1),
	config jsonb not null check (jsonb_typeof(config) = 'object'),
	-- About the change, for people.
	note text check (length(note) between 1 and 256),
	created_at timestamptz not null default now(),
	-- The token that wrote it.
	created_by uuid,
	-- Two writers who both build on version n can not both write n + 1.
	primary key (tenant_id, version),
	foreign key (tenant_id, created_by) references tokens (tenant_id, id)
);

-- A token's own limit: so many operations in so many seconds. null for none beyond the tenant's.
alter table tokens
	add column rate_quota integer check (rate_quota >= 1),
	add column rate_window_seconds integer check (rate_window_seconds >= 1),
	add constraint tokens_rate check ((rate_quota is null) = (rate_window_seconds is null));

grant select, insert on config_versions to edgesign_app;

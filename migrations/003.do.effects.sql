-- What requests with an Idempotency-Key have done, written in the same statement that did it.
-- A row without a resource is a door that a later attempt shut: the attempt of its number can do nothing any more.
create table effects (
	tenant_id text not null references tenants (id),
	-- Of the request: every attempt at it has the same.
	id uuid not null,
	attempt integer not null check (attempt >= 1),
	-- What the attempt made or changed.
	resource text,
	created_at timestamptz not null default now(),
	primary key (tenant_id, id, attempt)
);
-- The purge job reads across tenants.
create index effects_by_age on effects (created_at);

grant select, insert, delete on effects to edgesign_app;

-- The tenant leads every key and index: a query that forgets it finds no index to use.
-- Who may do what in the database: the worker's login role is granted edgesign_app and owns nothing.
do $$
begin
	create role edgesign_app nologin;
exception when duplicate_object or unique_violation then null;
end
$$;

-- PostgreSQL lets everyone make temporary tables unless it is told otherwise.
do $$
begin
	execute format('revoke temporary on database %I from public', current_database());
end
$$;

create table tenants (
	id text primary key check (id ~ '^[a-z0-9][a-z0-9-]{0,31}$'),
	created_at timestamptz not null default now()
);

create table tokens (
	tenant_id text not null references tenants (id),
	id uuid not null,
	name text not null check (length(name) between 1 and 128),
	role text not null check (role in ('admin', 'signer', 'verifier', 'auditor')),
	-- SHA-256 of the whole token; the token itself is kept nowhere.
	secret_hash bytea not null check (octet_length(secret_hash) = 32),
	-- Globs over key names; null means every key.
	key_patterns text[] check (cardinality(key_patterns) between 1 and 64),
	created_at timestamptz not null default now(),
	created_by uuid,
	expires_at timestamptz,
	revoked_at timestamptz,
	primary key (tenant_id, id),
	foreign key (tenant_id, created_by) references tokens (tenant_id, id)
);
create unique index tokens_by_hash on tokens (tenant_id, secret_hash);

create table keys (
	tenant_id text not null references tenants (id),
	id uuid not null,
	name text not null check (length(name) between 1 and 128),
	algorithm text not null,
	state text not null default 'enabled' check (state in ('enabled', 'disabled', 'pending_deletion')),
	has_private boolean not null,
	current_version integer not null default 1 check (current_version >= 1),
	min_sign_version integer not null default 1,
	min_verify_version integer not null default 1,
	tags jsonb not null default '{}' check (jsonb_typeof(tags) = 'object'),
	created_at timestamptz not null default now(),
	created_by uuid,
	updated_at timestamptz not null default now(),
	delete_at timestamptz,
	primary key (tenant_id, id),
	foreign key (tenant_id, created_by) references tokens (tenant_id, id),
	constraint keys_minimum_versions check (
		1 <= min_verify_version
		and min_verify_version <= min_sign_version
		and min_sign_version <= current_version
	),
	check ((state = 'pending_deletion') = (delete_at is not null))
);
create unique index keys_by_name on keys (tenant_id, name);
-- The purge job reads across tenants: the one index that the tenant does not lead.
create index keys_due on keys (delete_at) where delete_at is not null;

create table key_versions (
	tenant_id text not null,
	key_id uuid not null,
	version integer not null check (version >= 1),
	-- The canonical public JWK; null for a MAC, which has no public half.
	public_jwk jsonb,
	-- The private half, sealed with AES-256-GCM under the key-encryption key named beside it; null for a public-only key.
	kek_id text,
	sealed bytea,
	created_at timestamptz not null default now(),
	primary key (tenant_id, key_id, version),
	foreign key (tenant_id, key_id) references keys (tenant_id, id) on delete cascade,
	check ((kek_id is null) = (sealed is null)),
	check (sealed is not null or public_jwk is not null)
);
-- Rewrapping walks what is not under the newest key-encryption key yet.
create index key_versions_by_kek on key_versions (kek_id, tenant_id, key_id, version) where kek_id is not null;

-- RSA keys made ahead of their use, because making one takes longer than a request should.
-- Whoever creates a key takes the row away in the same statement that finds it.
create table spare_keys (
	modulus_length integer not null,
	id uuid not null,
	public_jwk jsonb not null,
	kek_id text not null,
	sealed bytea not null,
	created_at timestamptz not null default now(),
	primary key (modulus_length, id)
);

grant usage on schema public to edgesign_app;
grant select on tenants to edgesign_app;
grant select, insert on tokens to edgesign_app;
grant update (revoked_at) on tokens to edgesign_app;
grant select, insert, update, delete on keys to edgesign_app;
grant select, insert, delete on key_versions to edgesign_app;
grant update (kek_id, sealed) on key_versions to edgesign_app;
-- Taking a spare locks its row (for update skip locked), which wants the right to update.
grant select, insert, delete, update (kek_id, sealed) on spare_keys to edgesign_app;

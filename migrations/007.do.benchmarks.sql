-- What the service measures of itself, and the alerts that come of it.

-- The tenant that the measurements are made with. Nobody has a token of it but the service.
insert into tenants (id) values ('edgesign-benchmark') on conflict do nothing;

-- When the last scheduled run of a tenant began: of two who come at once, one takes the turn.
create table benchmark_turns (
	tenant_id text primary key references tenants (id),
	begun_at timestamptz not null,
	interval_seconds integer not null check (interval_seconds >= 1)
);

create table benchmark_runs (
	tenant_id text not null references tenants (id),
	-- A UUID of version 7, so the newest come last.
	id uuid not null,
	origin text not null check (origin in ('schedule', 'request')),
	at timestamptz not null,
	figures jsonb not null check (jsonb_typeof(figures) = 'object'),
	-- What did not answer, by the names of the figures.
	unreachable text[] not null,
	primary key (tenant_id, id)
);
-- The purge job reads across tenants.
create index benchmark_runs_by_age on benchmark_runs (at);

create table alerts (
	tenant_id text not null references tenants (id),
	id uuid not null,
	rule text not null check (length(rule) between 1 and 64),
	-- What the rule was broken by: the name of a figure.
	subject text not null check (length(subject) between 1 and 64),
	value double precision,
	threshold double precision,
	bottleneck text,
	advice text not null,
	raised_at timestamptz not null default now(),
	resolved_at timestamptz,
	primary key (tenant_id, id)
);
-- A condition that lasts has one alert.
create unique index alerts_open on alerts (tenant_id, rule, subject) where resolved_at is null;
create index alerts_by_age on alerts (resolved_at) where resolved_at is not null;

-- Which tenants to look at: those that have ever had benchmarks on.
create index config_versions_benchmarks on config_versions (tenant_id)
	where config #>> '{benchmarking_config,enable_benchmarks}' = 'true';

grant select, insert, update on benchmark_turns to edgesign_app;
grant select, insert, delete on benchmark_runs to edgesign_app;
grant select, insert, delete on alerts to edgesign_app;
grant update (resolved_at) on alerts to edgesign_app;

-- The first schema. What every column holds is told in docs/storage.md; times are milliseconds since the epoch, lists are JSON.

create table connections (
  tenant           text    not null,
  id               text    not null,
  app              text    not null,
  provider         text    not null,
  user_id          text,
  org_code         text,
  label            text,
  account_id       text,
  account_label    text,
  requested_scopes text    not null,
  granted_scopes   text,
  data_key         blob,
  access_token     blob,
  refresh_token    blob,
  extra            blob,
  token_type       text    not null,
  issued_at        integer not null,
  expires_at       integer,
  state            text    not null check (state in ('connected', 'failing', 'broken', 'revoked')),
  trouble          text,
  reason           text,
  detail           text,
  upstream         text,
  version          integer not null,
  fence            integer not null,
  lease_holder     text,
  lease_started_at integer,
  lease_until      integer,
  created_at       integer not null,
  connected_at     integer not null,
  renewed_at       integer,
  primary key (tenant, id),
  check (user_id is not null or org_code is not null),
  check ((data_key is null) = (access_token is null)),
  check (state <> 'failing' or trouble is not null),
  check ((state = 'broken') = (reason is not null)),
  check ((state = 'revoked') = (upstream is not null)),
  check ((lease_holder is null) = (lease_started_at is null) and (lease_holder is null) = (lease_until is null))
) strict;

create index connections_by_age on connections (tenant, created_at, id);
create index connections_by_user on connections (tenant, user_id, created_at, id) where user_id is not null;
create index connections_by_org on connections (tenant, org_code, created_at, id) where org_code is not null;
create index connections_by_app on connections (tenant, app, created_at, id);
create index connections_by_state on connections (tenant, state, created_at, id);

create table attempts (
  tenant          text    not null,
  id              text    not null primary key,
  session         text    not null,
  app             text    not null,
  provider        text    not null,
  user_id         text,
  org_code        text,
  caller          text    not null,
  binding         text    not null,
  stage           text    not null,
  connection      text,
  reconnects      text,
  callback_url    text,
  redirect_uri    text    not null,
  scopes          text    not null,
  issuer          text,
  issuer_required integer not null check (issuer_required in (0, 1)),
  handle_hash     text,
  state_hash      text,
  browser_hash    text,
  completion_hash text,
  data_key        blob    not null,
  code_verifier   blob,
  nonce           blob,
  answer          blob,
  reason          text,
  created_at      integer not null,
  expires_at      integer not null,
  check (user_id is not null or org_code is not null)
) strict;

create index attempts_by_age on attempts (tenant, created_at, id);
create index attempts_by_session on attempts (session, created_at);
create unique index attempts_by_handle on attempts (handle_hash) where handle_hash is not null;
create unique index attempts_by_state on attempts (state_hash) where state_hash is not null;
create index attempts_by_expiry on attempts (expires_at);
create index attempts_to_empty on attempts (expires_at) where code_verifier is not null;

create table providers (
  tenant   text not null default '*',
  id       text not null,
  document text not null,
  primary key (tenant, id)
) strict, without rowid;

create table apps (
  tenant                text    not null,
  key_code_ref          text    not null,
  provider              text    not null,
  name                  text    not null,
  client_id             text    not null,
  scopes                text    not null,
  callback_url          text,
  allowed_callback_urls text    not null,
  user_binding          text    not null,
  config                text    not null,
  one_per_owner         integer not null check (one_per_owner in (0, 1)),
  shared_redirect_uri   integer not null check (shared_redirect_uri in (0, 1)),
  data_key              blob    not null,
  client_secret         blob,
  private_key           blob,
  created_at            integer not null,
  updated_at            integer not null,
  primary key (tenant, key_code_ref)
) strict;

create table callers (
  tenant      text    not null,
  client_id   text    not null primary key,
  secret_hash text    not null,
  scopes      text    not null,
  owner       text    not null,
  expires_at  integer,
  disabled    integer not null check (disabled in (0, 1)),
  created_at  integer not null
) strict, without rowid;

create table broker_keys (
  tenant     text    not null default '*',
  purpose    text    not null,
  id         text    not null,
  data_key   blob    not null,
  sealed     blob    not null,
  created_at integer not null,
  primary key (tenant, purpose)
) strict;

create table history (
  seq     integer primary key autoincrement,
  tenant  text    not null,
  at      integer not null,
  actor   text    not null,
  action  text    not null,
  subject text    not null,
  reason  text
) strict;

create index history_by_tenant on history (tenant, seq);

-- records: changes of providers, apps, callers and keys. removed: the highest version of any connection that was removed.
-- pings: writes that only proved that the file can be written.
create table counters (
  name  text    not null primary key,
  value integer not null
) strict, without rowid;

insert into counters (name, value) values ('records', 0), ('removed', 0), ('pings', 0);

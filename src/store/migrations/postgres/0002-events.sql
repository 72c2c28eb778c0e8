-- Events are facts that say whom they are about. Facts from before are told of as far as their connections are still there.

alter table history add column about text;

update history set about = (
  select json_build_object('app', app, 'provider', provider, 'owner', json_build_object('userId', user_id, 'orgCode', org_code))::text
  from connections
  where connections.tenant = history.tenant and connections.id = history.subject
)
where action in ('connection.connected', 'connection.renewal_failing', 'connection.recovered', 'connection.broken', 'connection.revoked');

create index history_events on history (tenant, seq) where about is not null;
create index history_events_by_session on history (tenant, subject, seq) where about is not null;

create table webhooks (
  tenant                text collate "C" not null,
  id                    text collate "C" not null,
  url                   text     not null,
  types                 text,
  allow_private_network smallint not null check (allow_private_network in (0, 1)),
  data_key              bytea    not null,
  secret                bytea    not null,
  previous_secret       bytea,
  previous_until        bigint,
  position              bigint   not null,
  created_at            bigint   not null,
  primary key (tenant, id),
  check ((previous_secret is null) = (previous_until is null))
);

create table deliveries (
  tenant       text collate "C" not null,
  webhook      text collate "C" not null,
  event        bigint not null,
  session      text collate "C" not null,
  state        text   not null check (state in ('waiting', 'dead')),
  attempts     bigint not null,
  retry_at     bigint not null,
  reason       text,
  fence        bigint not null,
  lease_holder text,
  lease_until  bigint,
  created_at   bigint not null,
  primary key (tenant, webhook, event),
  check ((lease_holder is null) = (lease_until is null))
);

create index deliveries_due on deliveries (tenant, webhook, retry_at, event) where state = 'waiting';
create index deliveries_in_turn on deliveries (tenant, webhook, session, event) where state = 'waiting';

-- events: nothing is counted. Who writes an event holds this row until the commit.
insert into counters (name, value) values ('events', 0);

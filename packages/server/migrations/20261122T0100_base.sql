-- breaking: no
-- The whole schema of the first release. Conventions:
--   * a tenant table starts its primary key, unique keys and foreign keys with app_id and has row-level security by app_id;
--   * a control table is keyed by organization_id and has row-level security by organization_id;
--   * a routing table holds ids and times only, no tenant data, and has no row-level security;
--   * what can change a decision bumps a row of fences, by trigger, so that no writer can forget it.
-- The server's role owns nothing. It sees an app's rows only after set_config('vault.app', <app id>, true).

do $$
begin
  if not exists (select from pg_roles where rolname = 'alter_vault_server') then
    create role alter_vault_server nologin;
  end if;
end
$$;

create function vault_app() returns uuid language sql stable parallel safe as
$$ select nullif(current_setting('vault.app', true), '')::uuid $$;

create function vault_organization() returns uuid language sql stable parallel safe as
$$ select nullif(current_setting('vault.organization', true), '')::uuid $$;

-- ───────────── installation and processes (routing) ─────────────

create table installation (
  singleton boolean primary key default true check (singleton),
  installation_id uuid not null,
  -- The key that approval links are made with, wrapped by a root key.
  wrapped_link_key bytea,
  created_at timestamptz not null default now()
);

-- Which key files the data belongs to. A server with other files refuses to start.
create table key_file_fingerprints (
  name text not null,
  fingerprint text not null,
  primary key (name, fingerprint)
);

-- One row per server process. A process without a heartbeat for 60 s is fenced: its lanes are closed.
create table processes (
  process_id uuid primary key,
  started_at timestamptz not null default clock_timestamp(),
  heartbeat_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);

-- Work that a background job must pick up at a time, across apps. No content, only whom and when.
create table due_work (
  kind text not null,
  app_id uuid not null,
  subject_id uuid not null,
  due_at timestamptz not null,
  primary key (kind, app_id, subject_id)
);
create index due_work_by_time on due_work (kind, due_at);

-- From the digest of a presented key to its app; read on a cache miss only.
create table key_routes (
  digest bytea primary key,
  app_id uuid not null,
  key_id uuid not null
);

create table token_routes (
  digest bytea primary key,
  organization_id uuid not null,
  pat_id uuid not null
);

create table approval_routes (
  approval_id uuid primary key,
  app_id uuid not null
);

create table audit_signing_keys (
  key_id text primary key,
  public_jwk jsonb not null,
  valid_from timestamptz not null,
  valid_until timestamptz
);

-- ───────────── organisations (control) ─────────────

create table organizations (
  organization_id uuid primary key,
  name text not null,
  slug text not null unique,
  settings jsonb not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now()
);

create table members (
  organization_id uuid not null references organizations,
  member_id uuid not null,
  email text not null,
  display_name text,
  role text not null check (role in ('owner', 'admin', 'developer', 'auditor', 'approver')),
  app_ids uuid[],
  created_at timestamptz not null default now(),
  removed_at timestamptz,
  primary key (organization_id, member_id)
);
create unique index members_email on members (organization_id, lower(email)) where removed_at is null;

create table personal_access_tokens (
  organization_id uuid not null,
  pat_id uuid not null,
  member_id uuid not null,
  name text not null,
  token_prefix text not null,
  digest bytea not null,
  scopes text[] not null,
  app_ids uuid[],
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  primary key (organization_id, pat_id),
  foreign key (organization_id, member_id) references members
);

create table organization_rules (
  organization_id uuid not null references organizations,
  rule_id uuid not null,
  version integer not null default 1,
  type text not null,
  name text not null,
  description text,
  body jsonb not null,
  body_version integer not null default 1,
  enabled boolean not null default true,
  mode text not null default 'enforce' check (mode in ('enforce', 'shadow')),
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  updated_by jsonb not null,
  updated_at timestamptz not null default now(),
  primary key (organization_id, rule_id)
);

-- ───────────── apps ─────────────

create table apps (
  app_id uuid primary key,
  organization_id uuid not null references organizations,
  name text not null,
  slug text not null,
  description text,
  environment text not null default 'production',
  website_url text,
  status text not null default 'live' check (status in ('live', 'archived', 'deleted')),
  branding jsonb not null default '{}',
  settings jsonb not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  archived_at timestamptz
);
create unique index apps_live_name on apps (organization_id, lower(name)) where status <> 'deleted';

-- The versions that decisions rest on. Rows are never deleted, so a version never comes back.
-- Subjects: epoch · key:<id> · agent:<id> · grant:<id> · principal:<type>:<id> · secret:<id> · credential:<id>
create table fences (
  app_id uuid not null,
  subject text not null,
  version bigint not null,
  primary key (app_id, subject)
);

create function bump_fence(p_app uuid, p_subject text) returns void language sql as
$$
  insert into fences as f (app_id, subject, version) values (p_app, p_subject, 1)
  on conflict (app_id, subject) do update set version = f.version + 1
$$;

-- Takes the app's lock exclusively at COMMIT, so that a change is ordered against every append that holds it shared
-- and a long change stops calls for its fsync only. A transaction that changes several apps bumps them in app_id order.
create function lock_fence_at_commit() returns trigger language plpgsql as
$$
begin
  perform pg_advisory_xact_lock(hashtextextended(new.app_id::text, 0));
  return null;
end
$$;

create constraint trigger fences_lock_at_commit after insert or update on fences
  deferrable initially deferred for each row execute function lock_fence_at_commit();

create table data_keys (
  app_id uuid not null,
  data_key_id uuid not null,
  wrapped bytea not null,
  created_at timestamptz not null default now(),
  primary key (app_id, data_key_id)
);

create table agents (
  app_id uuid not null references apps,
  agent_id uuid not null,
  name text not null,
  display_name text,
  type text not null check (type in ('agent', 'service')),
  status text not null default 'active' check (status in ('active', 'inactive', 'revoked')),
  scopes jsonb not null default '{}',
  scopes_pending jsonb,
  scopes_applies_at timestamptz,
  policy jsonb not null default '{}',
  metadata jsonb not null default '{}',
  rate_limit_per_minute integer,
  version integer not null default 1,
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  primary key (app_id, agent_id)
);
create unique index agents_live_name on agents (app_id, name) where status <> 'revoked';

create table keys (
  app_id uuid not null references apps,
  key_id uuid not null,
  agent_id uuid,
  name text not null,
  key_prefix text not null,
  key_type text not null check (key_type in ('rk', 'ak', 'dk')),
  digest bytea not null,
  scopes text[] not null,
  scope_version integer not null default 1,
  cidr_allowlist text[],
  rate_limit_rpm integer,
  expires_at timestamptz,
  deprecated_at timestamptz,
  revoked_at timestamptz,
  rotated_to uuid,
  grace_until timestamptz,
  parent_key_id uuid,
  metadata jsonb not null default '{}',
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  primary key (app_id, key_id),
  foreign key (app_id, agent_id) references agents,
  foreign key (app_id, parent_key_id) references keys
);
create index keys_by_parent on keys (app_id, parent_key_id) where parent_key_id is not null;
create index keys_by_agent on keys (app_id, agent_id) where agent_id is not null;

-- Last use, apart from what decisions rest on, so that noting it bumps no fence. subject: key:<id> · agent:<id> · grant:<id>
create table last_uses (
  app_id uuid not null,
  subject text not null,
  used_at timestamptz not null,
  primary key (app_id, subject)
);

create table actors (
  app_id uuid not null references apps,
  actor_id uuid not null,
  principal_kind text not null check (principal_kind in ('actor', 'agent', 'key')),
  caller text not null,
  caller_type text not null,
  key_id uuid not null,
  agent_id uuid,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  primary key (app_id, actor_id),
  unique (app_id, caller_type, caller, key_id)
);

-- ───────────── managed secrets, credentials, grants ─────────────

create table managed_secrets (
  app_id uuid not null references apps,
  managed_secret_id uuid not null,
  slug text not null,
  name text not null,
  template_id text,
  credential_type text not null check (credential_type in ('bearer', 'api_key', 'basic', 'aws_sigv4', 'custom')),
  injection jsonb not null default '{}',
  allowed_hosts text[] not null,
  status text not null default 'active' check (status in ('active', 'deleted')),
  delegation_policy jsonb not null default '{}',
  proxy_only boolean not null default false,
  version integer not null default 1,
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (app_id, managed_secret_id)
);
create unique index managed_secrets_slug on managed_secrets (app_id, slug) where status = 'active';

create table credentials (
  app_id uuid not null,
  credential_id uuid not null,
  managed_secret_id uuid not null,
  label text not null,
  kind text not null default 'developer' check (kind in ('developer', 'end_user')),
  sealed bytea,
  hint text,
  status text not null default 'active' check (status in ('active', 'revoked')),
  created_at timestamptz not null default now(),
  rotated_at timestamptz,
  primary key (app_id, credential_id),
  foreign key (app_id, managed_secret_id) references managed_secrets
);
create unique index credentials_label on credentials (app_id, managed_secret_id, label) where status = 'active';

create table grants (
  app_id uuid not null references apps,
  grant_id uuid not null,
  grant_kind text not null default 'managed_secret' check (grant_kind in ('oauth', 'managed_secret')),
  principal_type text not null check (principal_type in ('user', 'group', 'system', 'agent')),
  principal_id uuid,
  managed_secret_id uuid,
  credential_id uuid not null,
  label text,
  restrictions jsonb,
  max_ttl_seconds integer,
  default_ttl_seconds integer,
  expires_at timestamptz,
  status text not null default 'active' check (status in ('active', 'revoked', 'deleted')),
  revoked_at timestamptz,
  revoked_reason text,
  version integer not null default 1,
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  primary key (app_id, grant_id),
  foreign key (app_id, managed_secret_id) references managed_secrets,
  foreign key (app_id, credential_id) references credentials,
  check ((principal_type = 'agent') = (principal_id is not null) or principal_type in ('user', 'group'))
);
create unique index grants_label on grants (app_id, credential_id, principal_type, coalesce(principal_id, app_id), coalesce(label, ''))
  where status = 'active';
create index grants_by_principal on grants (app_id, principal_type, principal_id, created_at);
create index grants_by_secret on grants (app_id, managed_secret_id);

-- ───────────── rules ─────────────

create table rules (
  app_id uuid not null references apps,
  rule_id uuid not null,
  version integer not null default 1,
  target_type text not null check (target_type in ('app', 'provider', 'agent', 'grant', 'key')),
  target_id text not null,
  type text not null,
  name text not null,
  description text,
  body jsonb not null,
  body_version integer not null default 1,
  enabled boolean not null default true,
  mode text not null default 'enforce' check (mode in ('enforce', 'shadow')),
  expires_at timestamptz,
  managed_by text not null default 'operator' check (managed_by in ('operator', 'agent_policy', 'grant_policy', 'user')),
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  updated_by jsonb not null,
  updated_at timestamptz not null default now(),
  primary key (app_id, rule_id)
);
create index rules_by_target on rules (app_id, target_type, target_id);

create table rule_versions (
  app_id uuid not null,
  rule_id uuid not null,
  version integer not null,
  snapshot jsonb not null,
  replaced_by jsonb not null,
  replaced_at timestamptz not null default now(),
  primary key (app_id, rule_id, version)
);

-- ───────────── approvals ─────────────

-- One held request. The frozen request is sealed; the columns beside it are what lists, races and recovery need.
create table approval_groups (
  app_id uuid not null references apps,
  approval_group_id uuid not null,
  executor_approval_id uuid not null,
  status text not null check (status in ('pending', 'approved', 'executing', 'denied', 'expired', 'executed', 'failed')),
  version integer not null default 1,
  action_hash bytea not null,
  sealed_request bytea not null,
  action_line text not null,
  grant_id uuid not null,
  key_id uuid not null,
  agent_id uuid,
  app_user_id uuid,
  provider_id text not null,
  reason text,
  trace_id text not null,
  intent_event_id uuid,
  policy_epoch bigint not null,
  requested_at timestamptz not null,
  expires_at timestamptz not null,
  decided_at timestamptz,
  decision_reason text,
  executed_at timestamptz,
  execution_error text,
  sealed_result bytea,
  result_expires_at timestamptz,
  primary key (app_id, approval_group_id)
);
create index approval_groups_by_time on approval_groups (app_id, requested_at desc);
create index approval_groups_waiting on approval_groups (app_id, status) where status in ('pending', 'approved', 'executing');
create index approval_groups_by_grant on approval_groups (app_id, grant_id) where status in ('pending', 'approved', 'executing');
create index approval_groups_by_action on approval_groups (app_id, md5(action_line), requested_at desc);

create table approval_gates (
  app_id uuid not null,
  approval_id uuid not null,
  approval_group_id uuid not null,
  position integer not null,
  status text not null check (status in ('pending', 'approved', 'denied', 'expired')),
  version integer not null default 1,
  configuration jsonb not null,
  rules jsonb not null,
  quorum integer not null,
  link_nonce bytea not null,
  expires_at timestamptz not null,
  decided_at timestamptz,
  decision_reason text,
  primary key (app_id, approval_id),
  unique (app_id, approval_group_id, position),
  foreign key (app_id, approval_group_id) references approval_groups
);

create table approval_decisions (
  app_id uuid not null,
  approval_id uuid not null,
  approver_key text not null,
  approver_kind text not null check (approver_kind in ('link', 'member', 'app_user')),
  approver jsonb not null,
  decision text not null check (decision in ('approve', 'deny')),
  reason text,
  action_hash bytea not null,
  decided_at timestamptz not null default clock_timestamp(),
  primary key (app_id, approval_id, approver_key),
  foreign key (app_id, approval_id) references approval_gates
);

-- One try to execute an approved request. lease_number fences: the owner of an older lease can neither send nor record.
create table approval_attempts (
  app_id uuid not null,
  attempt_id uuid not null,
  approval_group_id uuid not null,
  owner uuid not null,
  lease_number integer not null default 1,
  claimed_at timestamptz not null default clock_timestamp(),
  lease_until timestamptz not null,
  sent_at timestamptz,
  ended_at timestamptz,
  outcome text check (outcome in ('not_sent', 'executed', 'failed', 'unknown')),
  primary key (app_id, attempt_id),
  foreign key (app_id, approval_group_id) references approval_groups
);
create unique index approval_attempts_open on approval_attempts (app_id, approval_group_id) where ended_at is null;

-- ───────────── audit log ─────────────

-- In these tables app_id is the scope: an app, else an organisation, else the installation.
create table audit_lanes (
  app_id uuid not null,
  chain_id uuid not null,
  process_id uuid not null,
  purpose text not null check (purpose in ('calls', 'changes')),
  opened_at timestamptz not null default clock_timestamp(),
  closed_at timestamptz,
  primary key (app_id, chain_id)
);
create index audit_lanes_open on audit_lanes (process_id) where closed_at is null;

-- The truth. One row per commit and lane. count = 0 marks a closing block: the lane never grows past it.
create table audit_blocks (
  app_id uuid not null,
  chain_id uuid not null,
  first_seq bigint not null,
  count integer not null,
  head_hash bytea not null,
  rows bytea not null,
  committed_at timestamptz not null default clock_timestamp(),
  primary key (app_id, chain_id, first_seq)
);
alter table audit_blocks alter column rows set storage external;

-- Sealed request and response bodies of the rows of one block, outside the chain, so that they can be erased.
create table audit_bodies (
  app_id uuid not null,
  chain_id uuid not null,
  first_seq bigint not null,
  frames bytea not null,
  stored_at timestamptz not null default clock_timestamp(),
  primary key (app_id, chain_id, first_seq)
);
alter table audit_bodies alter column frames set storage external;
create index audit_bodies_by_age on audit_bodies (app_id, stored_at);

create table nonces (
  app_id uuid not null,
  ts bigint not null,
  digest bytea not null,
  primary key (app_id, ts, digest)
) partition by range (ts);

-- Partitions of 900 s: made six hours ahead, dropped 900 s after no signature of theirs can be valid. Returns how many exist.
create function maintain_nonce_partitions(p_now bigint) returns integer
  language plpgsql security definer set search_path = pg_catalog, public as
$$
declare
  v_start bigint;
  v_name text;
  v_count integer := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('nonce partitions', 0));
  for v_name, v_start in
    select c.relname, substring(c.relname from 8)::bigint from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.nonces'::regclass
  loop
    if v_start + 900 + 900 < p_now then
      execute format('drop table public.%I', v_name);
    end if;
  end loop;
  for v_start in select generate_series((p_now - 900) / 900 * 900, p_now + 21600, 900) loop
    v_name := 'nonces_' || v_start;
    if to_regclass('public.' || v_name) is null then
      execute format('create table public.%I partition of public.nonces for values from (%s) to (%s)', v_name, v_start, v_start + 900);
    end if;
    v_count := v_count + 1;
  end loop;
  return v_count;
end
$$;

-- Rate counters. A counter is a ring of slots in one row: slot = number of the newest slot, used[1] the oldest, used[width] the newest.
create table counters (
  app_id uuid not null,
  counter_id text not null,
  slot bigint not null,
  used integer[] not null,
  primary key (app_id, counter_id)
);

create function advance_slots(p_used integer[], p_by bigint, p_add integer) returns integer[] language plpgsql immutable as
$$
declare
  v_width integer := cardinality(p_used);
  v_used integer[] := p_used;
begin
  if p_by >= v_width then
    v_used := array_fill(0, array[v_width]);
  elsif p_by > 0 then
    v_used := p_used[p_by + 1:] || array_fill(0, array[p_by::integer]);
  end if;
  v_used[v_width] := v_used[v_width] + p_add;
  return v_used;
end
$$;

create function sum_slots(p_used integer[]) returns bigint language sql immutable as
$$ select coalesce(sum(u), 0) from unnest(p_used) u $$;

-- The synchronous write of every credential use: one call, one transaction (docs/architecture.md, "The fence").
-- Returns (kind 'fence', index) for each stale version, having written nothing; no row when all is durable.
-- A refused nonce, counter or attempt raises VF001/VF002/VF003 with the 1-based indexes in DETAIL (counters: index:left),
-- and nothing is written.
create function append_block(
  p_app uuid, p_chain uuid, p_first_seq bigint, p_count integer, p_head bytea, p_rows bytea, p_bodies bytea,
  p_fence_subjects text[], p_fence_versions bigint[],
  p_nonce_ts bigint[], p_nonce_digests bytea[],
  p_counter_ids text[], p_counter_slots bigint[], p_counter_widths integer[], p_counter_adds integer[], p_counter_maxes integer[],
  p_attempt_ids uuid[], p_attempt_owners uuid[], p_attempt_leases integer[]
) returns table (kind text, idx integer) language plpgsql volatile as
$$
declare
  v_refused integer[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'append_block needs read committed, got %', current_setting('transaction_isolation');
  end if;
  perform set_config('vault.app', p_app::text, true);
  perform pg_advisory_xact_lock_shared(hashtextextended(p_app::text, 0));

  if cardinality(p_fence_subjects) > 0 then
    return query
      select 'fence'::text, f.i::integer
      from unnest(p_fence_subjects, p_fence_versions) with ordinality f (subject, version, i)
      where (select t.version from fences t where t.app_id = p_app and t.subject = f.subject) is distinct from f.version;
    if found then return; end if;
  end if;

  if cardinality(p_nonce_ts) > 0 then
    with inserted as (
      insert into nonces (app_id, ts, digest)
      select p_app, n.ts, n.digest from unnest(p_nonce_ts, p_nonce_digests) n (ts, digest) order by n.ts, n.digest
      on conflict do nothing returning nonces.ts, nonces.digest
    )
    select array_agg(n.i) into v_refused
    from unnest(p_nonce_ts, p_nonce_digests) with ordinality n (ts, digest, i)
    where not exists (select from inserted s where s.ts = n.ts and s.digest = n.digest);
    if v_refused is not null then
      raise exception 'nonce seen before' using errcode = 'VF001', detail = array_to_string(v_refused, ',');
    end if;
  end if;

  if cardinality(p_counter_ids) > 0 then
    with charged as (
      insert into counters as c (app_id, counter_id, slot, used)
      select p_app, n.id, n.slot, advance_slots(array_fill(0, array[n.width]), 0, n.add)
      from unnest(p_counter_ids, p_counter_slots, p_counter_widths, p_counter_adds, p_counter_maxes) n (id, slot, width, add, max)
      where n.add <= n.max
      order by n.id
      on conflict (app_id, counter_id) do update
        set slot = greatest(c.slot, excluded.slot),
            used = advance_slots(c.used, excluded.slot - c.slot, excluded.used[cardinality(excluded.used)])
        where sum_slots(advance_slots(c.used, excluded.slot - c.slot, excluded.used[cardinality(excluded.used)]))
          <= (select n.max from unnest(p_counter_ids, p_counter_maxes) n (id, max) where n.id = excluded.counter_id)
      returning c.counter_id
    )
    select array_agg(n.i) into v_refused
    from unnest(p_counter_ids) with ordinality n (id, i)
    where not exists (select from charged s where s.counter_id = n.id);
    if v_refused is not null then
      -- What is left of each, so that the members that still fit can go on in the next try.
      raise exception 'budget spent' using errcode = 'VF002', detail = (
        select string_agg(r.i || ':' || greatest(0, p_counter_maxes[r.i] - coalesce((
            select sum_slots(advance_slots(c.used, p_counter_slots[r.i] - c.slot, 0)) from counters c
            where c.app_id = p_app and c.counter_id = p_counter_ids[r.i]), 0)), ',')
        from unnest(v_refused) r (i));
    end if;
  end if;

  if cardinality(p_attempt_ids) > 0 then
    with sent as (
      update approval_attempts a set sent_at = clock_timestamp()
      from unnest(p_attempt_ids, p_attempt_owners, p_attempt_leases) n (id, owner, lease)
      where a.app_id = p_app and a.attempt_id = n.id and a.owner = n.owner and a.lease_number = n.lease
        and a.sent_at is null and a.ended_at is null and a.lease_until > clock_timestamp()
      returning a.attempt_id
    )
    select array_agg(n.i) into v_refused
    from unnest(p_attempt_ids) with ordinality n (id, i)
    where not exists (select from sent s where s.attempt_id = n.id);
    if v_refused is not null then
      raise exception 'attempt no longer owned' using errcode = 'VF003', detail = array_to_string(v_refused, ',');
    end if;
  end if;

  if p_count > 0 then
    insert into audit_blocks (app_id, chain_id, first_seq, count, head_hash, rows)
    values (p_app, p_chain, p_first_seq, p_count, p_head, p_rows);
    if p_bodies is not null then
      insert into audit_bodies (app_id, chain_id, first_seq, frames) values (p_app, p_chain, p_first_seq, p_bodies);
    end if;
  end if;
end
$$;

create table audit_checkpoints (
  app_id uuid not null,
  checkpoint_no bigint not null,
  message text not null,
  message_hash bytea not null,
  signature text not null,
  key_id text not null,
  issued_at timestamptz not null,
  primary key (app_id, checkpoint_no)
);

-- ───────────── idempotency ─────────────

-- app_id is the scope: an app, or the organisation for what is made outside an app.
create table idempotency_records (
  app_id uuid not null,
  operation text not null,
  idempotency_key text not null,
  body_digest bytea not null,
  subject_id uuid,
  status integer,
  response jsonb,
  created_at timestamptz not null default now(),
  primary key (app_id, operation, idempotency_key)
);
create index idempotency_records_by_age on idempotency_records (app_id, created_at);

-- ───────────── what bumps which fence ─────────────

create function fence_app() returns trigger language plpgsql as
$$ begin perform bump_fence(coalesce(new.app_id, old.app_id), 'epoch'); return null; end $$;
create trigger apps_fence after insert or update on apps for each row execute function fence_app();
create trigger rules_fence after insert or update or delete on rules for each row execute function fence_app();

create function fence_organization() returns trigger language plpgsql as
$$
declare
  v_app uuid;
  v_before text := current_setting('vault.app', true);
begin
  -- Outside its organisation's scope a change would not see the apps whose decisions it changes.
  if vault_organization() is distinct from coalesce(new.organization_id, old.organization_id) then
    raise exception 'a change of organisation % needs its scope', coalesce(new.organization_id, old.organization_id);
  end if;
  for v_app in
    select app_id from apps where organization_id = coalesce(new.organization_id, old.organization_id) order by app_id
  loop
    perform set_config('vault.app', v_app::text, true);
    perform bump_fence(v_app, 'epoch');
  end loop;
  perform set_config('vault.app', coalesce(v_before, ''), true);
  return null;
end
$$;
create trigger organization_rules_fence after insert or update or delete on organization_rules
  for each row execute function fence_organization();
create trigger organizations_fence after update on organizations for each row execute function fence_organization();

create function fence_key() returns trigger language plpgsql as
$$ begin perform bump_fence(coalesce(new.app_id, old.app_id), 'key:' || coalesce(new.key_id, old.key_id)); return null; end $$;
create trigger keys_fence after insert or update or delete on keys for each row execute function fence_key();

create function fence_agent() returns trigger language plpgsql as
$$ begin perform bump_fence(coalesce(new.app_id, old.app_id), 'agent:' || coalesce(new.agent_id, old.agent_id)); return null; end $$;
create trigger agents_fence after insert or update or delete on agents for each row execute function fence_agent();

create function fence_secret() returns trigger language plpgsql as
$$
begin
  perform bump_fence(coalesce(new.app_id, old.app_id), 'secret:' || coalesce(new.managed_secret_id, old.managed_secret_id));
  return null;
end
$$;
create trigger managed_secrets_fence after insert or update or delete on managed_secrets
  for each row execute function fence_secret();

create function fence_credential() returns trigger language plpgsql as
$$
begin
  perform bump_fence(coalesce(new.app_id, old.app_id), 'credential:' || coalesce(new.credential_id, old.credential_id));
  return null;
end
$$;
create trigger credentials_fence after insert or update or delete on credentials
  for each row execute function fence_credential();

create function fence_grant() returns trigger language plpgsql as
$$
declare
  v_app uuid := coalesce(new.app_id, old.app_id);
begin
  perform bump_fence(v_app, 'grant:' || coalesce(new.grant_id, old.grant_id));
  if tg_op <> 'UPDATE' or new.status is distinct from old.status or new.label is distinct from old.label then
    perform bump_fence(v_app, 'principal:' || coalesce(new.principal_type, old.principal_type) || ':' ||
      coalesce(new.principal_id::text, old.principal_id::text, ''));
  end if;
  return null;
end
$$;
create trigger grants_fence after insert or update or delete on grants for each row execute function fence_grant();

-- A principal that has no grant yet is a fact too: these subjects exist from the start.
create function fence_new_app() returns trigger language plpgsql as
$$ begin perform bump_fence(new.app_id, 'principal:system:'); return null; end $$;
create trigger apps_fence_principal after insert on apps for each row execute function fence_new_app();
create function fence_new_agent() returns trigger language plpgsql as
$$ begin perform bump_fence(new.app_id, 'principal:agent:' || new.agent_id); return null; end $$;
create trigger agents_fence_principal after insert on agents for each row execute function fence_new_agent();

-- ───────────── row-level security and rights ─────────────

do $$
declare
  t text;
begin
  foreach t in array array[
    'fences', 'data_keys', 'agents', 'keys', 'last_uses', 'actors', 'managed_secrets', 'credentials', 'grants',
    'rules', 'rule_versions', 'approval_groups', 'approval_gates', 'approval_decisions', 'approval_attempts',
    'audit_blocks', 'audit_bodies', 'audit_checkpoints', 'nonces', 'counters', 'idempotency_records'
  ] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy app_boundary on %I using (app_id = (select vault_app())) with check (app_id = (select vault_app()))', t);
  end loop;
  foreach t in array array['members', 'personal_access_tokens', 'organization_rules'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy organization_boundary on %I using (organization_id = (select vault_organization())) with check (organization_id = (select vault_organization()))', t);
  end loop;
end
$$;

-- An app is listed by its organisation and read on its own.
alter table apps enable row level security;
alter table apps force row level security;
create policy app_boundary on apps
  using (app_id = (select vault_app()) or organization_id = (select vault_organization()))
  with check (app_id = (select vault_app()) or organization_id = (select vault_organization()));

-- An organisation's rules are part of each of its apps' decisions.
create policy app_reads on organization_rules for select
  using (organization_id = (select a.organization_id from apps a where a.app_id = (select vault_app())));

grant usage on schema public to alter_vault_server;
grant select, insert, update, delete on all tables in schema public to alter_vault_server;
revoke update, delete on audit_checkpoints, audit_signing_keys from alter_vault_server;
grant update (valid_until) on audit_signing_keys to alter_vault_server;
grant execute on all functions in schema public to alter_vault_server;

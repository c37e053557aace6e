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
  created_at timestamptz not null default now()
);

-- Keys of the installation itself (approval links, API key digests, audit signing), each wrapped by a root key under its name.
create table installation_keys (
  name text primary key,
  wrapped bytea not null
);

-- The scopes that have data keys, for a rotation of root keys; the keys themselves are seen in their own scope only.
create table data_key_scopes (
  app_id uuid primary key
);

-- Which root keys the data belongs to. A server with others refuses to start.
create table root_key_fingerprints (
  fingerprint text primary key
);

-- One row per server process. A process without a heartbeat for 60 s is fenced: its lanes are closed.
create table processes (
  process_id uuid primary key,
  started_at timestamptz not null default clock_timestamp(),
  heartbeat_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);

-- Work that a background job must pick up at a time, across apps. No content, only whom and when. A row goes when its work is done.
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

-- ───────────── organizations (control) ─────────────

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
  -- What the credential belongs to. Each kind of source is a table of its own.
  source_kind text not null check (source_kind in ('managed_secret', 'connection')),
  source_id uuid not null,
  label text not null,
  kind text not null default 'developer' check (kind in ('developer', 'end_user')),
  sealed bytea,
  hint text,
  -- The names of a custom credential's fields. An injection may read only fields that exist, and no value is opened to learn that.
  field_names text[] not null default '{}',
  status text not null default 'active' check (status in ('active', 'revoked')),
  created_at timestamptz not null default now(),
  rotated_at timestamptz,
  primary key (app_id, credential_id),
  unique (app_id, credential_id, source_id)
);
create unique index credentials_label on credentials (app_id, source_id, label) where status = 'active';

create table grants (
  app_id uuid not null references apps,
  grant_id uuid not null,
  grant_kind text not null default 'managed_secret' check (grant_kind in ('oauth', 'managed_secret')),
  principal_type text not null check (principal_type in ('user', 'group', 'system', 'agent')),
  principal_id uuid,
  -- Provider id, or the slug of the managed secret: what rules and calls name. It never changes.
  provider_id text not null,
  -- The credential's source: the managed secret, or the connection.
  source_id uuid not null,
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
  foreign key (app_id, credential_id, source_id) references credentials (app_id, credential_id, source_id),
  check ((principal_type = 'agent') = (principal_id is not null) or principal_type in ('user', 'group'))
);
create unique index grants_label on grants (app_id, credential_id, principal_type, coalesce(principal_id, app_id), coalesce(label, ''))
  where status = 'active';
create index grants_by_principal on grants (app_id, principal_type, principal_id, created_at);
create index grants_by_source on grants (app_id, source_id);

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

-- What a rule was before its changes and its deletion; the newest 100 of each rule.
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
-- Deleted with gates, decisions, attempts and routes retain_runtime_days after its end.
create table approval_groups (
  app_id uuid not null references apps,
  approval_group_id uuid not null,
  executor_approval_id uuid not null,
  status text not null check (status in ('pending', 'approved', 'executing', 'denied', 'expired', 'executed', 'failed')),
  version integer not null default 1,
  action_hash bytea not null,
  -- Null: erased, retain_body_days after the end.
  sealed_request bytea,
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

-- In these tables app_id is the scope: an app, else an organization, else the installation.
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

-- Rate counters, deleted when nothing was charged for longer than any window. A counter is a ring of slots in one row: slot = number of the newest slot, used[1] the oldest, used[width] the newest.
create table counters (
  app_id uuid not null,
  counter_id text not null,
  slot bigint not null,
  used integer[] not null,
  charged_at timestamptz not null default clock_timestamp(),
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
            charged_at = excluded.charged_at,
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

-- Answers to calls with an Idempotency-Key, forgotten after 24 hours. app_id is the scope: an app, or the organization for what is
-- made outside an app.
create table idempotency_records (
  app_id uuid not null,
  operation text not null,
  idempotency_key text not null,
  body_digest bytea not null,
  status integer,
  -- Not jsonb: a repeat gets its members in the order of the first answer.
  response json,
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
  -- Outside its organization's scope a change would not see the apps whose decisions it changes.
  if vault_organization() is distinct from coalesce(new.organization_id, old.organization_id) then
    raise exception 'a change of organization % needs its scope', coalesce(new.organization_id, old.organization_id);
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

-- An app is listed by its organization and read on its own.
alter table apps enable row level security;
alter table apps force row level security;
create policy app_boundary on apps
  using (app_id = (select vault_app()) or organization_id = (select vault_organization()))
  with check (app_id = (select vault_app()) or organization_id = (select vault_organization()));

-- An organization's rules are part of each of its apps' decisions.
create policy app_reads on organization_rules for select
  using (organization_id = (select a.organization_id from apps a where a.app_id = (select vault_app())));

grant usage on schema public to alter_vault_server;
grant select, insert, update, delete on all tables in schema public to alter_vault_server;
revoke update, delete on audit_checkpoints, audit_signing_keys from alter_vault_server;
grant update (valid_until) on audit_signing_keys to alter_vault_server;
grant execute on all functions in schema public to alter_vault_server;

-- ───────────── reading the audit log ─────────────

-- Reading the audit log: what makes blocks searchable, signs them and forgets their details. The blocks stay the truth.
--   * audit_lanes says of each lane how far checkpoints have come and whether readers are done with it, so that a job finds
--     lanes with new rows by one index entry for each lane that is not done, in all apps at once;
--   * audit_events is a projection of the blocks and can be made anew at any time;
--   * an intent without outcome waits in due_work under the kind audit_intent.

alter table audit_lanes
  add column checkpointed_seq bigint not null default 0,
  -- A checkpoint has said that the lane is closed.
  add column checkpointed_to_end boolean not null default false,
  -- Every row up to the closing block is in audit_events.
  add column projected_to_end boolean not null default false,
  -- Every runtime detail up to this row is pruned or was never there.
  add column pruned_to_seq bigint not null default 0,
  add column pruned_to_end boolean not null default false;

create index audit_lanes_unread on audit_lanes (app_id, chain_id) where not (checkpointed_to_end and projected_to_end);
create index audit_lanes_unpruned on audit_lanes (app_id, opened_at) where not pruned_to_end;

-- When the newest checkpoint of a scope was issued, so that a job knows where one is due without opening the scope.
create table audit_checkpoint_times (
  app_id uuid primary key,
  issued_at timestamptz not null
);

-- How far a lane is projected. Locked by whoever projects it.
create table audit_projections (
  app_id uuid not null,
  chain_id uuid not null,
  next_seq bigint not null default 1,
  primary key (app_id, chain_id)
);

-- One row for each audit row: what is searched for, and where in which block the row itself stands.
create table audit_events (
  app_id uuid not null,
  chain_id uuid not null,
  seq bigint not null,
  -- Place of the row's line in its block: the block's first row, and the byte range in its rows.
  block_seq bigint not null,
  line_at integer not null,
  line_bytes integer not null,
  event_id uuid not null,
  occurred_at timestamptz not null,
  stream text not null,
  event text not null,
  outcome text not null,
  decision_effect text,
  primary_reason text,
  key_id uuid,
  agent_id uuid,
  actor_id uuid,
  member_id uuid,
  app_user_id uuid,
  grant_id uuid,
  approval_id uuid,
  intent_id uuid,
  provider_id text,
  trace_id text,
  run_id text,
  thread_id text,
  reason text,
  method text,
  host text,
  url text,
  status integer,
  tool text,
  initiator text,
  resource_type text,
  primary key (app_id, chain_id, seq)
);
create index audit_events_by_time on audit_events (app_id, occurred_at, event_id);
create index audit_events_by_id on audit_events (app_id, event_id);
create index audit_events_by_trace on audit_events (app_id, trace_id) where trace_id is not null;
create index audit_events_by_approval on audit_events (app_id, approval_id) where approval_id is not null;
create index audit_events_of_changes on audit_events (app_id, stream, occurred_at, event_id) where stream <> 'runtime';

create table audit_exports (
  app_id uuid not null,
  export_id uuid not null,
  format text not null check (format in ('ndjson', 'csv')),
  filters jsonb not null,
  -- What the export holds, fixed when it was asked for: ranges of lanes and of checkpoints. Null for csv.
  extent jsonb,
  row_count integer not null,
  member_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  primary key (app_id, export_id)
);
create index audit_exports_by_member on audit_exports (app_id, member_id, created_at);

-- A row is JSON text that PostgreSQL may refuse in one case: it has no character U+0000 (RFC 8259 has).
create function audit_json(p_text text) returns text language sql immutable parallel safe as
$$
  select case when position('\u0000' in p_text) = 0 then p_text
    else regexp_replace(p_text, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g') end
$$;

-- The host of a URL, lower-case and without its port; a bracketed address with its brackets.
create function audit_host(p_url text) returns text language sql immutable parallel safe as
$$
  select case when split_part(p_url, '://', 2) = '' then null
    when split_part(p_url, '://', 2) like '[%' then lower(split_part(split_part(p_url, '://', 2), ']', 1)) || ']'
    else lower(split_part(split_part(split_part(split_part(p_url, '://', 2), '/', 1), '?', 1), ':', 1)) end
$$;

-- The lines of a block with the byte range of each.
create function audit_lines(p_rows bytea)
  returns table (ordinal bigint, line_at integer, line_bytes integer, keep text, detail text)
  language sql immutable parallel safe as
$$
  select l.ordinal,
    (sum(octet_length(l.line) + 1) over (order by l.ordinal) - octet_length(l.line) - 1)::integer,
    octet_length(l.line),
    split_part(l.line, E'\t', 1),
    nullif(split_part(l.line, E'\t', 2), '')
  from string_to_table(convert_from(p_rows, 'UTF8'), E'\n') with ordinality l (line, ordinal)
  where l.line <> ''
$$;

-- Puts the rows of some blocks of a lane into audit_events, or one row of them. With p_is_new, intents without an outcome among
-- these rows begin to wait for one, and outcomes end the wait of theirs. Returns how many rows are new.
create function project_audit_blocks(p_app uuid, p_chain uuid, p_from bigint, p_to bigint, p_is_new boolean, p_ordinal bigint default null)
  returns integer language plpgsql volatile as
$$
declare
  v_inserted integer;
begin
  with projected as (
    insert into audit_events (
      app_id, chain_id, seq, block_seq, line_at, line_bytes, event_id, occurred_at, stream, event, outcome, decision_effect,
      primary_reason, key_id, agent_id, actor_id, member_id, app_user_id, grant_id, approval_id, intent_id, provider_id,
      trace_id, run_id, thread_id, reason, method, host, url, status, tool, initiator, resource_type)
    select p_app, p_chain, b.first_seq + l.ordinal - 1, b.first_seq, l.line_at, l.line_bytes,
      k.event_id, k.occurred_at, k.stream, k.event, k.outcome, k.decision_effect, k.primary_reason,
      k.key_id, k.agent_id, k.actor_id, k.member_id, k.app_user_id, k.grant_id, k.approval_id, k.intent_id,
      k.provider_id, k.trace_id, k.run_id, k.thread_id, k.reason,
      coalesce(d.method, d.declared_method), audit_host(coalesce(d.url, d.declared_url)), coalesce(d.url, d.declared_url),
      d.response_status, d.context ->> 'tool', d.initiator, d.resource_type
    from audit_blocks b
      cross join lateral audit_lines(b.rows) l
      cross join lateral json_to_record(audit_json(l.keep)::json) k (
        event_id uuid, occurred_at timestamptz, stream text, event text, outcome text, decision_effect text,
        primary_reason text, key_id uuid, agent_id uuid, actor_id uuid, member_id uuid, app_user_id uuid, grant_id uuid,
        approval_id uuid, intent_id uuid, provider_id text, trace_id text, run_id text, thread_id text, reason text)
      left join lateral json_to_record(case when left(l.detail, 1) = '{' then audit_json(l.detail)::json end) d (
        method text, declared_method text, url text, declared_url text, response_status integer, context json,
        initiator text, resource_type text) on true
    where b.app_id = p_app and b.chain_id = p_chain and b.first_seq >= p_from and b.first_seq < p_to
      and (p_ordinal is null or l.ordinal = p_ordinal)
    on conflict do nothing
    returning event_id, event, intent_id, occurred_at
  ), waiting as (
    insert into due_work (kind, app_id, subject_id, due_at)
    select 'audit_intent', p_app, i.event_id, i.occurred_at + interval '5 minutes'
    from projected i
    where p_is_new and i.event in ('proxy.requested', 'token.requested')
      and not exists (select from projected o where o.intent_id = i.event_id)
    on conflict do nothing
  ), answered as (
    delete from due_work w using projected o
    where p_is_new and w.kind = 'audit_intent' and w.app_id = p_app and w.subject_id = o.intent_id
  )
  select count(*) into v_inserted from projected;
  return v_inserted;
end
$$;

-- As above for new blocks of which some row is unreadable: what can be read is projected, the rest is left out.
-- A log that somebody has damaged stays searchable; the integrity check names the place.
create function project_damaged_audit_blocks(p_app uuid, p_chain uuid, p_from bigint, p_to bigint) returns integer
  language plpgsql volatile as
$$
declare
  v_block record;
  v_ordinal integer;
  v_inserted integer := 0;
begin
  for v_block in
    select first_seq, count from audit_blocks
    where app_id = p_app and chain_id = p_chain and first_seq >= p_from and first_seq < p_to order by first_seq
  loop
    for v_ordinal in 1 .. v_block.count loop
      begin
        v_inserted := v_inserted
          + project_audit_blocks(p_app, p_chain, v_block.first_seq, v_block.first_seq + 1, true, v_ordinal);
      exception when data_exception or not_null_violation or program_limit_exceeded then
        raise warning 'row % of lane % of scope % cannot be read', v_block.first_seq + v_ordinal - 1, p_chain, p_app;
      end;
    end loop;
  end loop;
  return v_inserted;
end
$$;

-- Projects up to about p_max_rows further rows of a lane, in the caller's transaction, which must see the scope.
-- No row: somebody else is at it (with p_wait it waits instead). is_done: nothing will follow.
create function project_audit_lane(p_app uuid, p_chain uuid, p_max_rows integer, p_wait boolean)
  returns table (rows_projected integer, next_seq bigint, is_done boolean)
  -- Compiling the statement would take longer than running it.
  language plpgsql volatile set jit = off as
$$
#variable_conflict use_column
declare
  v_from bigint;
  v_to bigint;
  v_ends boolean;
  v_rows integer := 0;
begin
  insert into audit_projections (app_id, chain_id)
  select p_app, p_chain
  where not exists (select from audit_projections p where p.app_id = p_app and p.chain_id = p_chain)
  on conflict do nothing;
  if p_wait then
    select p.next_seq into v_from from audit_projections p where p.app_id = p_app and p.chain_id = p_chain for update;
  else
    select p.next_seq into v_from from audit_projections p where p.app_id = p_app and p.chain_id = p_chain
      for update skip locked;
  end if;
  if v_from is null then return; end if;

  -- Whole blocks until there are enough rows; at least one block.
  select max(b.first_seq + greatest(b.count, 0)), coalesce(bool_or(b.count = 0), false) into v_to, v_ends
  from (
    select first_seq, count, sum(count) over (order by first_seq) - count as before
    from (
      select first_seq, count from audit_blocks
      where app_id = p_app and chain_id = p_chain and first_seq >= v_from order by first_seq limit 500
    ) next_blocks
  ) b
  where b.before < p_max_rows;

  if v_to > v_from then
    begin
      v_rows := project_audit_blocks(p_app, p_chain, v_from, v_to, true);
    exception when data_exception or not_null_violation or program_limit_exceeded then
      v_rows := project_damaged_audit_blocks(p_app, p_chain, v_from, v_to);
    end;
    update audit_projections p set next_seq = v_to where p.app_id = p_app and p.chain_id = p_chain;
  end if;
  if v_ends then
    update audit_lanes l set projected_to_end = true where l.app_id = p_app and l.chain_id = p_chain;
  end if;
  return query select v_rows, coalesce(v_to, v_from), v_ends;
end
$$;

-- The end of every lane that a reader is not done with: the last row, and whether the lane is closed. One index entry each.
-- p_app null: of all scopes, in a transaction that sees none.
create function audit_lane_tails(p_app uuid default null)
  returns table (app_id uuid, chain_id uuid, last_seq bigint, is_closed boolean,
    checkpointed_seq bigint, checkpointed_to_end boolean, projected_to_end boolean, next_seq bigint)
  language plpgsql volatile as
$$
#variable_conflict use_column
declare
  v_before text := current_setting('vault.app', true);
  v_lane record;
begin
  for v_lane in
    select l.app_id, l.chain_id, l.closed_at is not null as is_closed, l.checkpointed_seq, l.checkpointed_to_end,
      l.projected_to_end, coalesce(p.next_seq, 1) as next_seq
    from audit_lanes l left join audit_projections p on p.app_id = l.app_id and p.chain_id = l.chain_id
    where not (l.checkpointed_to_end and l.projected_to_end) and (p_app is null or l.app_id = p_app)
  loop
    perform set_config('vault.app', v_lane.app_id::text, true);
    return query
      select v_lane.app_id, v_lane.chain_id, coalesce(b.first_seq + b.count - 1, 0), v_lane.is_closed,
        v_lane.checkpointed_seq, v_lane.checkpointed_to_end, v_lane.projected_to_end, v_lane.next_seq
      from (select) one left join lateral (
        select first_seq, count from audit_blocks
        where app_id = v_lane.app_id and chain_id = v_lane.chain_id order by first_seq desc limit 1) b on true;
  end loop;
  perform set_config('vault.app', coalesce(v_before, ''), true);
end
$$;

-- Replaces the runtime details of whole blocks that ended before p_before by their hashes, from where it stopped last time,
-- at most p_max_blocks blocks, in the caller's transaction, which must see the scope. The projection follows.
-- blocks_seen < p_max_blocks: the lane is pruned as far as it can be now.
create function prune_audit_lane(p_app uuid, p_chain uuid, p_before timestamptz, p_max_blocks integer)
  returns table (details_pruned integer, blocks_seen integer)
  language plpgsql volatile set jit = off as
$$
declare
  v_from bigint;
  v_block record;
  v_last text;
  v_rows bytea;
  v_pruned integer;
  v_details integer := 0;
  v_seen integer := 0;
begin
  -- The projector holds this lock too: what it is putting into audit_events is there before it is looked for below.
  perform from audit_projections p where p.app_id = p_app and p.chain_id = p_chain for update;
  select l.pruned_to_seq + 1 into v_from from audit_lanes l
  where l.app_id = p_app and l.chain_id = p_chain and not l.pruned_to_end for update skip locked;
  if v_from is null then
    return query select 0, 0;
    return;
  end if;
  for v_block in
    select b.first_seq, b.count, b.rows from audit_blocks b
    where b.app_id = p_app and b.chain_id = p_chain and b.first_seq >= v_from order by b.first_seq limit p_max_blocks
  loop
    if v_block.count = 0 then
      update audit_lanes l set pruned_to_end = true where l.app_id = p_app and l.chain_id = p_chain;
      exit;
    end if;
    select substring(r.keep from '"occurred_at":"([^"]*)"') into v_last
    from audit_lines(v_block.rows) r order by r.ordinal desc limit 1;
    exit when v_last is null or v_last::timestamptz >= p_before;
    -- In canonical JSON a quotation mark inside a text is escaped, so this finds the member and nothing else.
    select count(*) filter (where r.is_due),
      convert_to(string_agg(r.keep || E'\t' || case when r.is_due
        then '#' || encode(sha256(convert_to(E'alter.audit.detail.v1\n' || r.detail, 'UTF8')), 'hex') else r.detail end
        || E'\n', '' order by r.ordinal), 'UTF8')
    into v_pruned, v_rows
    from (
      select l.*, position(',"stream":"runtime",' in l.keep) > 0 and left(l.detail, 1) <> '#' as is_due
      from audit_lines(v_block.rows) l
    ) r;
    if v_pruned > 0 then
      update audit_blocks b set rows = v_rows
      where b.app_id = p_app and b.chain_id = p_chain and b.first_seq = v_block.first_seq;
      delete from audit_events e
      where e.app_id = p_app and e.chain_id = p_chain and e.seq >= v_block.first_seq and e.seq < v_block.first_seq + v_block.count;
      if found then
        perform project_audit_blocks(p_app, p_chain, v_block.first_seq, v_block.first_seq + 1, false);
      end if;
      v_details := v_details + v_pruned;
    end if;
    v_seen := v_seen + 1;
    update audit_lanes l set pruned_to_seq = v_block.first_seq + v_block.count - 1
    where l.app_id = p_app and l.chain_id = p_chain;
  end loop;
  return query select v_details, v_seen;
end
$$;

do $$
declare
  t text;
begin
  foreach t in array array['audit_events', 'audit_exports'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy app_boundary on %I using (app_id = (select vault_app())) with check (app_id = (select vault_app()))', t);
  end loop;
end
$$;

grant select, insert, update, delete on audit_events, audit_exports, audit_projections, audit_checkpoint_times to alter_vault_server;
grant execute on function audit_json(text), audit_host(text), audit_lines(bytea),
  project_audit_blocks(uuid, uuid, bigint, bigint, boolean, bigint),
  project_damaged_audit_blocks(uuid, uuid, bigint, bigint), project_audit_lane(uuid, uuid, integer, boolean),
  audit_lane_tails(uuid), prune_audit_lane(uuid, uuid, timestamptz, integer) to alter_vault_server;

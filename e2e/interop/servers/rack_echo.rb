# Says how Rack reads a request, behind the middleware that Rails and Sinatra put there.
require 'json'
require 'rack'
require 'rack/method_override'

app = lambda do |env|
  request = Rack::Request.new(env)
  said = {
    method: env['REQUEST_METHOD'],
    path: env['PATH_INFO'],
    query: request.GET,
    form: request.POST,
    headers: env.select { |name, _| name.start_with?('HTTP_') }
  }
  [200, { 'Content-Type' => 'application/json' }, [JSON.generate(said)]]
end

Rack::Handler::WEBrick.run(
  Rack::MethodOverride.new(app),
  Host: '127.0.0.1', Port: Integer(ARGV.fetch(0)), AccessLog: [], Logger: WEBrick::Log.new(File::NULL)
)

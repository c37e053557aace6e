<?php
// Says how PHP reads a request. For the server that comes with PHP: php -S 127.0.0.1:<port> echo.php
header('Content-Type: application/json');
$raw = file_get_contents('php://input');
$headers = array_filter($_SERVER, fn($name) => str_starts_with($name, 'HTTP_'), ARRAY_FILTER_USE_KEY);
echo json_encode([
    'method' => $_SERVER['REQUEST_METHOD'],
    'path' => parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: $_SERVER['REQUEST_URI'],
    'query' => (object) $_GET,
    'form' => (object) $_POST,
    'json' => json_decode($raw),
    'headers' => (object) $headers,
], JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);

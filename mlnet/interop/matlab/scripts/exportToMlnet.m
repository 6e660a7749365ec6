function notes = exportToMlnet(value, file, varargin)
%exportToMlnet Write a network, or other values, into a .mat file that mlnet reads.
%
%   exportToMlnet(net, 'net.mat') writes a SeriesNetwork, DAGNetwork or
%   dlnetwork, a layer array or a layer graph: layers with all properties,
%   connections, and a sample of data with what the network predicts for it. In
%   Python, mlnet.importNetworkFromMATLAB('net.mat') makes the network again, and
%   compares what it predicts for the sample.
%
%   exportToMlnet(net, 'net.mat', 'Sample', X) takes your data as the sample, as
%   predict takes them; for several inputs a cell with one entry for each.
%   Without it, data are made from the sizes of the inputs.
%
%   exportToMlnet(net, 'net.mat', 'Options', options) keeps training options too.
%
%   exportToMlnet(values, 'values.mat') with a structure writes its fields as
%   variables: tables and timetables as structures of columns, string arrays and
%   dates as texts, durations as seconds, categorical arrays as such. In Python,
%   mlnet.load('values.mat') reads them.
%
%   notes = exportToMlnet(...) returns what could not be written, instead of
%   printing it.
%
%   What is written (the layout of version 1), all of it plain values:
%
%     mlnet_export.version      1
%     mlnet_export.matlab       the release that has written the file
%     mlnet_export.class        class(net)
%     mlnet_export.layers       cell; each with class and properties, a structure
%     mlnet_export.sources      cell of texts, 'layer' or 'layer/port'
%     mlnet_export.destinations cell of texts; connection k is from sources{k}
%     mlnet_export.has_connections  false for layer arrays and SeriesNetworks
%     mlnet_export.inputs       cell; each with data and format ('' or as 'SSCB')
%     mlnet_export.outputs      the same, what the network predicts for them
%     mlnet_export.options      class and properties, or []
%     mlnet_export.notes        cell of texts
%
%   Functions are structures with the field mlnet_function, other objects
%   structures with the fields class and properties.

noteList('clear');
if isNetwork(value)
    sample = []; hasSample = false; options = [];
    for k = 1:2:numel(varargin)
        if k == numel(varargin)
            error('exportToMlnet:value', 'The option %s has no value.', char(varargin{k}));
        elseif strcmpi(varargin{k}, 'Sample')
            sample = varargin{k+1}; hasSample = true;
        elseif strcmpi(varargin{k}, 'Options')
            options = varargin{k+1};
        else
            error('exportToMlnet:option', 'There is no option %s. Known options: Sample, Options.', char(varargin{k}));
        end
    end
    mlnet_export = networkRecord(value);
    mlnet_export.inputs = {};
    mlnet_export.outputs = {};
    if canPredict(value)
        try
            [mlnet_export.inputs, mlnet_export.outputs] = predicted(value, sample, hasSample);
        catch problem
            noteList(['there is no sample, as predict has failed: ' problem.message]);
        end
    end
    mlnet_export.options = [];
    if ~isempty(options)
        mlnet_export.options = objectRecord(options, 1);
    end
    mlnet_export.notes = noteList('get');
    variables = struct('mlnet_export', mlnet_export);
elseif isstruct(value) && isscalar(value)
    variables = plain(value, 1);
else
    error('exportToMlnet:kind', ['exportToMlnet needs a network, layers, or a structure of variables, but got a ' ...
        '%s. Write exportToMlnet(struct(''x'', {x}), file).'], class(value));
end
saveVariables(file, variables);
notes = noteList('get');
if nargout == 0
    for k = 1:numel(notes)
        fprintf('exportToMlnet: %s\n', notes{k});
    end
    clear notes
end
end

function saveVariables(file, variables)
% Save the fields of a structure; in version 7.3 where others cannot hold them.
information = whos('variables');
if information.bytes < 2^31 - 2^20
    save(file, '-struct', 'variables', '-v7');
else
    save(file, '-struct', 'variables', '-v7.3');
end
end

function record = networkRecord(net)
% Return layers and connections as plain values.
record = struct('version', 1, 'matlab', version(), 'class', classOf(net));
layers = layersOf(net);
records = cell(1, numel(layers));
for k = 1:numel(layers)
    records{k} = objectRecord(element(layers, k), 1);
end
record.layers = records;
record.has_connections = has(net, 'Connections');
record.sources = {};
record.destinations = {};
if record.has_connections
    connections = net.Connections;
    record.sources = cellstr(connections.Source)';
    record.destinations = cellstr(connections.Destination)';
end
end

function record = objectRecord(object, depth)
% Return the class of an object and its properties as plain values.
names = namesOf(object);
properties_ = struct();
for k = 1:numel(names)
    try
        properties_.(names{k}) = plain(object.(names{k}), depth + 1);
    catch problem
        noteList(sprintf('%s.%s: %s', class(object), names{k}, problem.message));
    end
end
record = struct('class', classOf(object), 'properties', properties_);
end

function result = plain(value, depth)
% Return a value without objects.
if depth > 20
    error('exportToMlnet:depth', 'more than 20 levels of objects');
end
if isa(value, 'gpuArray') || isa(value, 'distributed')
    value = gather(value);
end
if isa(value, 'dlarray')
    value = extractdata(value);
    if isa(value, 'gpuArray')
        value = gather(value);
    end
end
if isa(value, 'function_handle')
    result = struct('mlnet_function', func2str(value));
elseif isnumeric(value) || islogical(value) || ischar(value)
    result = value;
elseif iscell(value)
    result = cell(size(value));
    for k = 1:numel(value)
        result{k} = plain(value{k}, depth + 1);
    end
elseif isstruct(value) && ~isNetwork(value)
    result = value;
    names = fieldnames(value);
    for k = 1:numel(value)
        for n = 1:numel(names)
            result(k).(names{n}) = plain(value(k).(names{n}), depth + 1);
        end
    end
elseif isa(value, 'categorical')
    codes = double(value);
    codes(isnan(codes)) = 0;
    names = reshape(categories(value), 1, []);
    result = struct('mlnet_class', 'categorical', 'codes', codes, 'categories', {names});
elseif isa(value, 'string')
    value(ismissing(value)) = "";
    if isscalar(value)
        result = char(value);
    else
        result = cellstr(value);
    end
elseif isa(value, 'datetime')
    value.Format = 'yyyy-MM-dd''T''HH:mm:ss.SSS';
    result = cellstr(value);
elseif isa(value, 'duration')
    result = seconds(value);
elseif isa(value, 'timetable')
    result = plain(timetable2table(value), depth + 1);
elseif isa(value, 'table')
    result = plain(table2struct(value, 'ToScalar', true), depth + 1);
elseif isa(value, 'containers.Map')
    result = struct('keys', {keys(value)}, 'values', {plain(values(value), depth + 1)});
elseif isNetwork(value)
    result = networkRecord(value);
elseif isscalar(value)
    result = objectRecord(value, depth);
else
    result = cell(size(value));
    for k = 1:numel(value)
        result{k} = plain(value(k), depth + 1);
    end
end
end

function [inputs, outputs] = predicted(net, sample, hasSample)
% Return data for each input, and what the network predicts for them.
names = cellstr(net.InputNames);
if hasSample
    data = sample;
    if numel(names) == 1
        data = {sample};
    end
else
    data = cell(1, numel(names));
    for k = 1:numel(names)
        data{k} = madeData(net, names{k});
    end
end
found = cell(1, numel(cellstr(net.OutputNames)));
[found{:}] = predict(net, data{:});
inputs = cell(1, numel(data));
for k = 1:numel(data)
    inputs{k} = struct('data', {plain(data{k}, 1)}, 'format', formatOf(data{k}));
end
outputs = cell(1, numel(found));
for k = 1:numel(found)
    outputs{k} = struct('data', {plain(found{k}, 1)}, 'format', formatOf(found{k}));
end
end

function data = madeData(net, name)
% Return two observations for an input layer, spread around its Mean.
layers = layersOf(net);
words = 0;
layer = [];
for k = 1:numel(layers)
    each = element(layers, k);
    if has(each, 'NumWords')
        words = each.NumWords;
    end
    if strcmp(each.Name, name)
        layer = each;
    end
end
if isempty(layer)
    error('exportToMlnet:input', 'the input %s is no layer; give data as Sample', name);
end
kind = classOf(layer);
dims = double(layer.InputSize);
if has(layer, 'InputFormat')
    form = char(layer.InputFormat);
    batch = form == 'B';
    dims(isnan(dims) & batch) = 2;
    dims(isnan(dims)) = 7;
    data = dlarray(wave(dims, [], words), form);
elseif ~isempty(strfind(kind, 'SequenceInput')) %#ok<STREMP>
    steps = 7;
    if has(layer, 'MinLength')
        steps = max(steps, double(layer.MinLength));
    end
    if isa(net, 'dlnetwork')
        spatial = repmat('S', 1, numel(dims) - 1);
        data = dlarray(wave([dims 2 steps], layer, words), [spatial 'CBT']);
    else
        data = {wave([dims steps], layer, words); wave([dims steps + 2], layer, words)};
    end
elseif ~isempty(strfind(kind, 'FeatureInput')) %#ok<STREMP>
    data = wave([dims 2], layer, words)';
    if isa(net, 'dlnetwork')
        data = dlarray(data', 'CB');
    end
else
    data = wave([dims 2], layer, words);
    if isa(net, 'dlnetwork')
        data = dlarray(data, [repmat('S', 1, numel(dims) - 1) 'CB']);
    end
end
end

function data = wave(dims, layer, words)
% Return numbers of a size, the same in every run.
if isscalar(dims)
    dims = [dims 1];
end
numbers = 1:prod(dims);
if words > 0
    data = single(reshape(1 + mod(numbers, words), dims));
    return
end
data = reshape(sin(1.7 * numbers) .* cos(0.3 * numbers), dims);
if ~isempty(layer) && has(layer, 'Max') && ~isempty(layer.Max) && ~isempty(layer.Min)
    data = bsxfun(@plus, layer.Min, bsxfun(@times, layer.Max - layer.Min, (data + 1) / 2));
else
    if ~isempty(layer) && has(layer, 'StandardDeviation') && ~isempty(layer.StandardDeviation)
        data = bsxfun(@times, data, layer.StandardDeviation);
    end
    if ~isempty(layer) && has(layer, 'Mean') && ~isempty(layer.Mean)
        scale = max(1, max(abs(layer.Mean(:))) / 2);
        data = bsxfun(@plus, scale * data, layer.Mean);
    end
end
data = single(data);
end

function form = formatOf(data)
form = '';
if isa(data, 'dlarray')
    form = char(dims(data));
end
end

function answer = isNetwork(value)
% Tell whether a value is a network or layers.
kind = classOf(value);
answer = any(strcmp(kind, {'SeriesNetwork', 'DAGNetwork', 'dlnetwork', 'nnet.cnn.LayerGraph'})) || isLayers(value);
end

function answer = isLayers(value)
answer = isa(value, 'nnet.cnn.layer.Layer');
end

function answer = canPredict(value)
answer = any(strcmp(classOf(value), {'SeriesNetwork', 'DAGNetwork', 'dlnetwork'}));
if answer && has(value, 'Initialized')
    answer = value.Initialized;
end
end

function layers = layersOf(net)
if isLayers(net)
    layers = net;
else
    layers = net.Layers;
end
end

function each = element(list, k)
if iscell(list)
    each = list{k};
else
    each = list(k);
end
end

function name = classOf(object)
% Return the class; a structure may name the class that it stands for.
name = class(object);
if isstruct(object) && isscalar(object) && isfield(object, 'mlnet_stands_for')
    name = object.mlnet_stands_for;
end
end

function names = namesOf(object)
if isstruct(object)
    names = setdiff(fieldnames(object), {'mlnet_stands_for'});
else
    names = properties(object);
end
end

function answer = has(object, name)
answer = any(strcmp(namesOf(object), name));
end

function list = noteList(note)
% Keep notes from call to call: 'clear' forgets them, 'get' returns them, others are added.
persistent kept
if isempty(kept) || strcmp(note, 'clear')
    kept = {};
end
if ~any(strcmp(note, {'clear', 'get'}))
    kept{end+1} = note;
end
list = kept;
end
